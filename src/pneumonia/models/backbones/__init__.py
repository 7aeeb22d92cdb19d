"""Feature extractors: in come grey values, out comes one feature map for each of the strides 4, 8, 16, 32.

Read `pyramid` first.
"""
