"""The commands of `pneumonia`, a module a group: in come the words of the command line and params.yaml, out goes an exit status.

Read `project` first, the smallest. Each module's `add` makes its parsers; what a command needs is imported when it runs, so
that `pneumonia --help` waits for nothing.
"""
