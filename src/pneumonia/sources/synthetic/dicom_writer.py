"""A drawn study as a DICOM file: in the challenge's layout, or in two others that a pipeline must be able to read."""

from __future__ import annotations

import io
from typing import Literal

import cv2
import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, SecondaryCaptureImageStorage, generate_uid

from pneumonia.sources.synthetic.cohort import Case

Encoding = Literal["jpeg", "monochrome1", "hounsfield"]

JPEG_QUALITY = 78
HU_SLOPE, HU_INTERCEPT = 0.5, -1400.0  # of the hounsfield encoding
# The lung window through which a grey value and its HU are the same picture.
_WINDOW_CENTER, _WINDOW_WIDTH = -600.0, 1500.0


def encode_study(
    case: Case, pixels: np.ndarray, encoding: Encoding, *, modality: str = "CR", age: int | None = None
) -> bytes:
    """The file of a study with grey values `pixels` (float `[rows, columns]`, 0 to 255).

    jpeg: JPEG Baseline, 8 bit, MONOCHROME2, no window and no rescale, as the challenge has it. monochrome1: the same,
    stored inverted. hounsfield: 16-bit uncompressed, its rescale giving HU that the lung window (centre -600, width
    1500) shows as `pixels`. `age` overrides that of the case.
    """
    compressed = encoding != "hounsfield"
    dataset = _header(case, pixels.shape, compressed, modality, case.spec.age if age is None else age)
    if compressed:
        stored = np.rint(pixels).astype(np.uint8)
        if encoding == "monochrome1":
            dataset.PhotometricInterpretation = "MONOCHROME1"
            stored = 255 - stored
        done, jpeg = cv2.imencode(".jpg", stored, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not done:
            raise RuntimeError(f"JPEG encoder refused study {case.study} of shape {stored.shape}")
        dataset.LossyImageCompression = "01"
        dataset.LossyImageCompressionMethod = "ISO_10918_1"
        dataset.PixelData = encapsulate([jpeg.tobytes()])
        dataset["PixelData"].is_undefined_length = True
    else:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = str(HU_INTERCEPT), str(HU_SLOPE), "HU"
        hounsfield = _WINDOW_CENTER + (pixels / 255.0 - 0.5) * _WINDOW_WIDTH
        dataset.PixelData = np.rint((hounsfield - HU_INTERCEPT) / HU_SLOPE).astype("<u2").tobytes()
    dataset["PixelData"].VR = "OB" if compressed else "OW"
    return to_bytes(dataset)


def to_bytes(dataset: FileDataset) -> bytes:
    """The data set as a DICOM file with preamble."""
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _header(case: Case, shape: tuple[int, ...], compressed: bool, modality: str, age: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(case, "instance")
    meta.TransferSyntaxUID = JPEGBaseline8Bit if compressed else ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["pneumonia phantom"])
    meta.ImplementationVersionName = "PHANTOM"
    dataset = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)  # type: ignore[arg-type]
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyDate, dataset.StudyTime = "19010101", "000000.00"
    dataset.AccessionNumber = ""
    dataset.Modality, dataset.ConversionType = modality, "WSD"
    dataset.ReferringPhysicianName = ""
    dataset.SeriesDescription = f"view: {case.spec.view}"
    dataset.PatientName, dataset.PatientID = case.study, case.study
    dataset.PatientBirthDate = ""
    dataset.PatientSex = case.spec.sex
    dataset.add_new("PatientAge", "AS", "")
    dataset["PatientAge"]._value = str(age)  # "57", as the challenge writes it; the standard would have "057Y"
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", case.spec.view
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid(case, "study"), _uid(case, "series")
    dataset.StudyID = ""
    dataset.SeriesNumber = dataset.InstanceNumber = "1"
    dataset.PatientOrientation = ""
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = shape
    spacing = f"{case.spacing * 1024 / shape[0]:.6g}"
    dataset.PixelSpacing = [spacing, spacing]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    return dataset


def _uid(case: Case, level: str) -> UID:
    return generate_uid(entropy_srcs=[case.study, level])
