"""A Comprehensive SR by TID 1500: one region a box, and one group that says whether the image shows an opacity at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pneumonia.reading_room.objects.findings import NAME, WARNING, Algorithm, Findings, identity, uid

if TYPE_CHECKING:
    from highdicom.sr import ComprehensiveSR
    from pydicom import Dataset


def structured_report(source: Dataset, findings: Findings, algorithm: Algorithm) -> ComprehensiveSR:
    """The report on one image.

    What was mended in the image is among the parameters of the algorithm (TID 4019).
    Boxes are closed polylines in pixels of the image as stored (SCOORD: column, row; the corner of the first pixel is 0.0, 0.0).

    Arguments:
        source: header of the image, as `pneumonia.reading_room.objects.source.read_source` gives it.
        findings: of the image, boxes in its pixels.
        algorithm: that found them.
    """
    from highdicom import sr
    from pydicom.sr.codedict import codes as standard

    from pneumonia.reading_room.objects import codes

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

    def certainty(score: float) -> sr.Measurement:
        return sr.Measurement(codes.CERTAINTY, round(100 * float(score), 4), codes.PERCENT)

    def tracking(name: str) -> sr.TrackingIdentifier:
        return sr.TrackingIdentifier(uid(image, algorithm.digest, algorithm.settings, name), name)

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
    regions = [
        sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking(f"opacity {number}"),
            referenced_region=sr.ImageRegion(
                graphic_type=sr.GraphicTypeValues.POLYLINE,
                graphic_data=outline,
                source_image=sr.SourceImageForRegion(source.SOPClassUID, image),
            ),
            algorithm_id=identification,
            finding_type=codes.OPACITY,
            finding_sites=site,
            measurements=[certainty(score)],
        )
        for number, (outline, score) in enumerate(zip(findings.corners(), findings.scores, strict=True), start=1)
    ]
    observer = sr.ObserverContext(
        observer_type=standard.DCM.Device,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=uid(algorithm.digest),
            name=NAME,
            manufacturer_name=NAME,
            model_name=NAME,
            serial_number=algorithm.version,
        ),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.RADIOGRAPHY,
        imaging_measurements=[whole, *regions],
        title=codes.REPORT,
    )
    return sr.ComprehensiveSR(
        evidence=[source],
        content=content[0],
        **identity(source, findings, algorithm, "SR"),
        is_complete=True,
        is_final=False,
    )
