"""What the sources leave in data/raw and data/raw_test; the columns are the challenge's, see `pneumonia.sources.labels`."""

from __future__ import annotations

FOLDER, TEST_FOLDER = "data/raw", "data/raw_test"
STORE = "data/source"  # where a download stays

# Files in these folders: of both, of the labelled studies, of the test studies.
IMAGES = "images.zip"
LABELS, CLASSES, PERSONS = "labels.csv", "classes.csv", "persons.csv"
SAMPLE_SUBMISSION = "sample_submission.csv"
