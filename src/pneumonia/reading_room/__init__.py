"""New patients: in come DICOM files from a folder or a PACS, out come findings as tables, pictures and DICOM objects.

Read `predictor` first; `objects` makes the DICOM results, `node` talks to a PACS.
"""
