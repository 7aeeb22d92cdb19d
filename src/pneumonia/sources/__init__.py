"""Where studies come from: in comes a download, an archive or a seed, out come data/raw and data/raw_test.

Read `local` first; `labels` is the challenge's label files.
"""
