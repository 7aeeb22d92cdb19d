"""Where things lie, from one place: a test that moves to another folder still finds them."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests/data"  # reference outputs, in the repository
SHARED = ROOT.parent / "shared"  # real studies and weights, not in the repository: a test skips where they are absent
