"""A made-up CR image with everything that results copy or refer to."""

import io
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

IMAGE = np.arange(48 * 64, dtype=np.uint8).reshape(48, 64)


def image(**elements: Any) -> bytes:
    """A made-up CR image of 48 rows and 64 columns."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3.4"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = "Doe^Jane", "P1", "19500102", "F"
    made.StudyDate, made.StudyTime, made.AccessionNumber, made.StudyID = "20240305", "101112", "A7", "S1"
    made.Modality, made.PhotometricInterpretation, made.SamplesPerPixel = "CR", "MONOCHROME2", 1
    made.Rows, made.Columns = IMAGE.shape
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = IMAGE.tobytes()
    for name, value in elements.items():
        if value is None:
            delattr(made, name)
        else:
            setattr(made, name, value)
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def chest(**elements: Any) -> bytes:
    """The same as a frontal radiograph of the chest. An element of None is left out."""
    known = {"ViewPosition": "PA", "BodyPartExamined": "CHEST", **elements}
    return image(**{name: value for name, value in known.items() if value is not None})
