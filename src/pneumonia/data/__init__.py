"""The data set: in come data/raw (studies and labels), out come clean tables, square images in shards, and the split.

Read `clean` first, then `shards` (writes), `store` (reads) and `split`.
"""
