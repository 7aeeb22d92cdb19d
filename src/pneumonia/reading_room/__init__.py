"""Results as DICOM objects that a PACS stores beside the image: structured report, presentation state, secondary capture."""
