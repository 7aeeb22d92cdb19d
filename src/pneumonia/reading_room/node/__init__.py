"""A DICOM node: in come chest radiographs from a PACS, out go what the models find, as DICOM objects.

Read `serve` first: it puts the parts together. What lies between them, on disk, is the `queue`.
"""
