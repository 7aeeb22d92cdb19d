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
RADIOGRAPHY = CodedConcept("399208008", "SCT", "Plain chest X-ray")
REPORT: Any = codes.DCM.ImagingMeasurementReport
FAMILY: Any = codes.DCM.ArtificialIntelligence
PERCENT: Any = codes.UCUM.Percent
