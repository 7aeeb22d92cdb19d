"""One DICOM file: in come its bytes, trusted for nothing, out comes the 8-bit image that the models see, or why there is none.

Read `windowing` first: `study_to_uint8` is the whole of it.
"""
