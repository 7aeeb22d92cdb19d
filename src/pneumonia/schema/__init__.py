"""The files of a project, each named once: where it lies from the project's root, its columns and their types, its decimals.

In comes a root, out come tables; nothing here knows what a number means or how it is made. A stage depends on the modules
it names, so what changes together stands together: `raw`, `data`, `training`, `predictions`, `explore`, `results`, and
`models`, the list of the models. Read `table` first, then `data`.
"""
