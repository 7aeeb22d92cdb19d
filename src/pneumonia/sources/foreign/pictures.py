"""A PNG or JPEG as a DICOM file: a secondary capture that holds the same grey values and what a sidecar says, no more.

PNG keeps its 8 or 16 bits. A grey JPEG Baseline is put in as it is (PS3.5, 8.2.1); a JPEG that this does not allow
(progressive, or grey written in three channels) is decoded. Colour, transparency and a turned image are refused: which
grey values, or which corner the boxes count from, cannot be known. Same picture, same bytes.
"""

from __future__ import annotations

import hashlib
import io

import cv2
import numpy as np

from pneumonia.sources.foreign.marked import Facts

SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_PIXELS = 64_000_000  # as of a DICOM file, see `pneumonia.dicom.study`

_ORIENTATION = 0x0112  # of EXIF; 1 is upright
_MADE_BY = "2.25.133270418227463046166373172043706224237"


def size(data: bytes) -> tuple[int, int]:
    """Rows and columns of a picture, from its header.

    Raises:
        ValueError: it is no PNG or JPEG, is turned by its EXIF orientation, or is too large.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("PNG", "JPEG")) as image:
            columns, rows = image.size
            turned = image.getexif().get(_ORIENTATION, 1)
    except Exception as error:  # of whatever kind a damaged file leads to
        raise ValueError(f"no readable PNG or JPEG ({type(error).__name__})") from error
    if turned != 1:
        raise ValueError(f"its EXIF orientation is {turned}, so boxes may be of the turned image; turn the pixels")
    if rows * columns > MAX_PIXELS:
        raise ValueError(f"{rows} x {columns} pixels; at most {MAX_PIXELS:,} are read")
    return rows, columns


def wrap(data: bytes, study: str, facts: Facts) -> bytes:
    """The DICOM file of a picture.

    Arguments:
        data: of the PNG or JPEG.
        study: its id, of which the UIDs are made.
        facts: go into the header; the person does not.

    Raises:
        ValueError: the picture cannot be taken as one image of grey values; it says why.
    """
    rows, columns = size(data)
    lossy = data[:2] == b"\xff\xd8"
    if lossy and _frame(data) == (0xC0, 8, 1):
        return _file(study, facts, (rows, columns), 8, data, lossy=True, embedded=True)
    grey = _grey(data)
    if grey.shape != (rows, columns):
        raise ValueError(f"its header says {rows} x {columns} pixels, its data {grey.shape[0]} x {grey.shape[1]}")
    bits = 8 * grey.itemsize
    return _file(study, facts, grey.shape, bits, grey.astype(f"<u{grey.itemsize}").tobytes(), lossy=lossy)


def _grey(data: bytes) -> np.ndarray:
    """The grey values, `[rows, columns]` uint8 or uint16, of a picture whose colours are all grey."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype not in (np.uint8, np.uint16):
        raise ValueError("it cannot be decoded; wanted 8 or 16 bits of grey")
    if image.ndim == 3:
        if image.shape[2] in (2, 4):
            opaque = 2 ** (8 * image.dtype.itemsize) - 1
            if np.any(image[..., -1] != opaque):
                raise ValueError("it is partly transparent; what lies behind it is not known")
            image = image[..., :-1]
        if np.any(image != image[..., :1]):
            raise ValueError("it has colours; wanted grey")
        image = image[..., 0]
    return np.ascontiguousarray(image)


def _frame(data: bytes) -> tuple[int, int, int]:
    """The kind of a JPEG's frame (0xC0 is Baseline), its bits and its components; zeros where none is found."""
    place = 2
    while place + 10 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # fill bytes
            place += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return marker, data[place + 4], data[place + 9]
        place += 2 + int.from_bytes(data[place + 2 : place + 4])
    return 0, 0, 0


def _file(
    study: str,
    facts: Facts,
    shape: tuple[int, ...],
    bits: int,
    pixels: bytes,
    *,
    lossy: bool,
    embedded: bool = False,
) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, SecondaryCaptureImageStorage

    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if embedded else ExplicitVRLittleEndian
    made.file_meta.ImplementationClassUID = UID(_MADE_BY)
    made.file_meta.ImplementationVersionName = "PICTURE"
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = SecondaryCaptureImageStorage, _uid(study, "instance")
    made.StudyInstanceUID, made.SeriesInstanceUID = _uid(study, "study"), _uid(study, "series")
    for unknown in (
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "StudyID",
        "ReferringPhysicianName",
        "PatientOrientation",
        "Laterality",
    ):
        setattr(made, unknown, "")
    made.SeriesNumber = made.InstanceNumber = "1"
    made.Modality, made.ConversionType = "RG", "WSD"
    made.PatientSex, made.ViewPosition = facts.sex, facts.view
    if facts.age:
        made.PatientAge = f"{int(float(facts.age)):03d}Y"
    if facts.spacing:
        made.PixelSpacing = [facts.spacing, facts.spacing]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = shape
    made.BitsAllocated = made.BitsStored = bits
    made.HighBit, made.PixelRepresentation = bits - 1, 0
    if lossy:
        made.LossyImageCompression, made.LossyImageCompressionMethod = "01", "ISO_10918_1"
    made.PixelData = encapsulate([pixels]) if embedded else pixels + b"\0" * (len(pixels) % 2)
    made["PixelData"].VR = "OW" if bits == 16 else "OB"
    made["PixelData"].is_undefined_length = embedded
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _uid(study: str, level: str) -> str:
    return f"2.25.{int.from_bytes(hashlib.sha256(f'{level} {study}'.encode()).digest()[:16])}"
