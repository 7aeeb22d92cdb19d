"""What a model, or the ensemble, says of studies: a score each, and of a detector boxes."""

from __future__ import annotations

from pneumonia.schema.table import BOX_DECIMALS, BOX_TYPES, Table

PREDICTIONS, TEST_PREDICTIONS = "data/predictions", "data/predictions_test"  # a folder a model
FUSED = "data/ensemble"

# In each of these folders. A classifier has no detections but maps.
SCORES = Table(f"{PREDICTIONS}/{{model}}/scores.csv", {"study": "str", "score": "float"}, {"score": 6})
DETECTIONS = Table(
    f"{PREDICTIONS}/{{model}}/detections.csv",
    {"study": "str"} | BOX_TYPES | {"score": "float"},
    BOX_DECIMALS | {"score": 6},
)
MAPS = "cam.npy"  # class activation maps float16 [N, h, w], rows as scores.csv
