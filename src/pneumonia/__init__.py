"""A reproducible pipeline that finds pneumonia on chest radiographs (RSNA Pneumonia Detection Challenge)."""
