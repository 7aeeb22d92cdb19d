"""The coded concepts that results use, of SNOMED CT and DICOM's own dictionary (PS3.16)."""

from __future__ import annotations

from typing import Any

from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

OPACITY: Any = codes.DCM.Opacity  # CID 6102, Chest Finding: what the challenge's readers drew boxes around
CERTAINTY: Any = codes.DCM.CertaintyOfFinding  # CID 6048: 0 to 100%, as the device sees it
LUNG: Any = codes.SCT.Lung
PRESENT: Any = codes.SCT.Present
ABSENT: Any = codes.SCT.Absent
PRESENCE = CodedConcept("705057003", "SCT", "Presence")
PROCEDURE: Any = codes.SCT.ImagingProcedure  # CID 100 has no radiography; which one it was stands in the image library
SOURCE = CodedConcept("260753009", "SCT", "Source")
MEASURED: Any = codes.DCM.SourceOfMeasurement  # CID 7551
COMMENT: Any = codes.DCM.Comment
MODALITIES: dict[str, Any] = {code.value: code for code in codes.CID29.concepts.values()}
CHEST = CodedConcept("51185008", "SCT", "Chest")  # known to readers of any age; 816094009 since 2020
CHEST_PARTS = ("CHEST", "THORAX")  # words of Body Part Examined
VIEWS: dict[str, Any] = {"AP": codes.SCT.AnteroPosterior, "PA": codes.SCT.PosteroAnterior}  # of View Position; CID 4010
PIXELS = CodedConcept("{pixels}", "UCUM", "Pixels")
REPORT: Any = codes.DCM.ImagingMeasurementReport
FAMILY: Any = codes.DCM.ArtificialIntelligence
PERCENT: Any = codes.UCUM.Percent
