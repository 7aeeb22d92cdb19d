"""What the results are worth: the challenge's metric, FROC, image level, operating points, bootstrap intervals."""
