"""A Comprehensive SR by TID 1500: one region a box, and one group that says whether the image shows an opacity at all.

Every group has spatial coordinates, and so has every score in it: viewers draw a report by its coordinates, and OHIF opens
none in which a group lacks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pneumonia.reading_room.objects.findings import NAME, WARNING, Algorithm, Findings, identity, uid

if TYPE_CHECKING:
    from highdicom.sr import ComprehensiveSR, ObserverContext
    from numpy.typing import NDArray
    from pydicom import Dataset


def structured_report(source: Dataset, findings: Findings, algorithm: Algorithm) -> ComprehensiveSR:
    """The report on one image.

    What was mended in the image is among the parameters of the algorithm (TID 4019).
    Boxes are closed polylines in pixels of the image as stored (SCOORD: column, row; the corner of the first pixel is 0.0, 0.0).
    The statement on the image is a group of TID 1501 whose coordinates (row 10c) are the outline of the image.

    Arguments:
        source: header of the image, as `pneumonia.reading_room.objects.source.read_source` gives it.
        findings: of the image, boxes in its pixels.
        algorithm: that found them.
    """
    from highdicom import sr

    from pneumonia.reading_room.objects import codes
    from pneumonia.reading_room.objects.image_library import image_library

    image = str(source.SOPInstanceUID)
    identification = sr.AlgorithmIdentification(
        name=NAME,
        version=algorithm.version,
        family=codes.FAMILY,
        parameters=[
            WARNING,
            f"Operating point: score of at least {findings.threshold:.6f}",
            f"Models (SHA-256): {algorithm.digest}",
            *([algorithm.settings] if algorithm.settings else []),
            *(f"Image: {note}" for note in findings.notes),
        ],
    )
    selected = sr.SourceImageForRegion(source.SOPClassUID, image)

    def certainty(score: float) -> sr.Measurement:
        return sr.Measurement(codes.CERTAINTY, round(100 * float(score), 4), codes.PERCENT)

    def tracking(name: str) -> sr.TrackingIdentifier:
        return sr.TrackingIdentifier(uid(image, algorithm.digest, algorithm.settings, name), name)

    def draw(group: Dataset, outline: NDArray[np.float64], words: str) -> None:
        """Give the group's score its own coordinates (TID 320), and the group the words that OHIF labels it with."""
        (score,) = (item for item in group.ContentSequence if item.ValueType == "NUM")
        where = sr.CoordinatesForMeasurement(sr.GraphicTypeValues.POLYLINE, outline, selected, codes.MEASURED)
        score.ContentSequence = sr.ContentSequence([where])
        contains = sr.RelationshipTypeValues.CONTAINS
        group.ContentSequence.append(sr.TextContentItem(codes.COMMENT, words, relationship_type=contains))

    site = [sr.FindingSite(codes.LUNG)]
    whole = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=tracking("image"),
        algorithm_id=identification,
        finding_type=codes.OPACITY,
        finding_sites=site,
        measurements=[certainty(findings.study_score)],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(codes.PRESENCE, codes.PRESENT if len(findings.boxes) else codes.ABSENT)
        ],
        source_images=[sr.SourceImageForMeasurementGroup(source.SOPClassUID, image)],
    )
    right, bottom = float(source.Columns), float(source.Rows)
    frame = np.array([(0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom), (0.0, 0.0)])
    region = sr.ScoordContentItem(
        codes.MEASURED, sr.GraphicTypeValues.POLYLINE, frame, relationship_type=sr.RelationshipTypeValues.CONTAINS
    )
    region.ContentSequence = sr.ContentSequence([selected])
    whole[0].ContentSequence.append(region)
    draw(whole[0], frame, f"{findings.words}; the whole image: {100 * findings.study_score:.1f}%")

    regions = []
    corners = np.clip(findings.corners(), 0.0, (right, bottom))
    for number, (outline, score) in enumerate(zip(corners, findings.scores, strict=True), start=1):
        found = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking(f"opacity {number}"),
            referenced_region=sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, outline, selected),
            algorithm_id=identification,
            finding_type=codes.OPACITY,
            finding_sites=site,
            measurements=[certainty(score)],
        )
        draw(found[0], outline, f"Opacity: {100 * score:.1f}%")
        regions.append(found)
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer(algorithm)),
        procedure_reported=codes.PROCEDURE,
        imaging_measurements=[whole, *regions],
        title=codes.REPORT,
    )
    content[0].ContentSequence.insert(len(content[0].ContentSequence) - 1, image_library(source))
    return sr.ComprehensiveSR(
        evidence=[source],
        content=content[0],
        **identity(source, findings, algorithm, "SR"),
        is_complete=True,
        is_final=False,
    )


def observer(algorithm: Algorithm) -> ObserverContext:
    """Who reports: this project as a device (TID 1004)."""
    from highdicom import sr
    from pydicom.sr.codedict import codes as standard

    return sr.ObserverContext(
        observer_type=standard.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=uid(algorithm.digest),
            name=NAME,
            manufacturer_name=NAME,
            model_name=NAME,
            serial_number=algorithm.version,
        ),
    )
