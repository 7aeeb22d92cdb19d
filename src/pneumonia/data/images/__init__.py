"""Square images: in comes a study's name, out come its 8-bit pixels in one size, and the way from there to original pixels.

Read `squares` first, then `store`; `pneumonia.data.shards` writes them.
"""
