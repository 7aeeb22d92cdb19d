"""Where studies come from: each source fills data/raw."""
