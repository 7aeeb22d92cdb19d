"""What DVC needs of the project: in come dvc.yaml, params.yaml, the cache; out comes whether they hold, or what to change.

Read `code_deps` first.
"""
