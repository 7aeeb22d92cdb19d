"""Where and how exactly a network computes: in come device, precision, seed; out comes a process set up so.

Read `devices` first: it is called before Keras is imported anywhere else.
"""
