"""The page: in come metrics, curves, tables, images, out comes one self-contained HTML file.

Read `inputs` first, then `page`.
"""
