"""A DICOM node: takes chest radiographs from a PACS and sends back what the models find, as DICOM objects."""
