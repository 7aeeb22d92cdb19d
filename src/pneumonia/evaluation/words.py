"""Models and measures in words, as the report and `pneumonia results` show them."""

from __future__ import annotations

from pneumonia.schema.models import CLASSIFIER, ENSEMBLE, WRITTEN

NAMES = {ENSEMBLE: "Ensemble", **WRITTEN, CLASSIFIER: "Classifier"}  # in the order of the page
STUDY_MEASURES = {
    "auc": "AUC",
    "auc_ap": "AUC within AP",
    "auc_pa": "AUC within PA",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "precision": "Precision (PPV)",
    "npv": "NPV",
    "f1": "F1",
    "brier": "Brier score",
    "ece": "Calibration error",
    "ece_raw": "Calibration error before calibration",
}
BOX_MEASURES = {
    "ap50": "AP at IoU 0.5",
    "ap": "AP at IoU 0.5 to 0.95",
    "ap50_small": "AP of small opacities",
    "ap50_medium": "AP of medium opacities",
    "ap50_large": "AP of large opacities",
    "challenge": "Challenge metric",
    "challenge_mean": "Challenge metric, mean over thresholds",
    "box_sensitivity": "Opacities found",
    "box_precision": "Boxes that find one",
    "boxes_per_normal": "Boxes per normal study",
}
FROC_MEASURES = {
    "froc_0125": "1/8 false boxes a study",
    "froc_025": "1/4",
    "froc_05": "1/2",
    "froc_1": "1",
    "froc_2": "2",
    "froc_4": "4",
    "froc_8": "8",
    "froc_mean": "Mean of the seven",
}
