"""DICOM files made for tests: a CR of 6 x 8 pixels whose elements are set, removed or written wrongly at will."""

import io
import struct

import cv2
import numpy as np
import pytest
from pydicom import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEGBaseline8Bit

from pneumonia.dicom.study import read_study
from pneumonia.rejection import StudyError

RAMP = np.arange(48, dtype=np.uint16).reshape(6, 8)


def dataset(pixels=RAMP, syntax=ExplicitVRLittleEndian, **elements):
    """A CR data set holding `pixels`, native; `elements` override, and None removes."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = ComputedRadiographyImageStorage
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "1.2.3"
    made.Modality, made.PhotometricInterpretation, made.SamplesPerPixel = "CR", "MONOCHROME2", 1
    made.Rows, made.Columns = pixels.shape
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(pixels.dtype.kind == "i")
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    made.PixelData = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    made["PixelData"].VR = "OW"
    for name, value in elements.items():
        if value is None:
            del made[name]
        else:
            setattr(made, name, value)
    return made


def encode(made):
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def jpeg(pixels, **elements):
    frame = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    return dataset(pixels, JPEGBaseline8Bit, **{"PixelData": encapsulate([frame])} | elements), frame


def lut(first, table, bits):
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [len(table), first, bits], table
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    return [item]


def read_header(data, study=""):
    return read_study(data, study)[0]


def read_pixels(data):
    return read_study(data)[1]


def reason(data):
    with pytest.raises(StudyError) as caught:
        read_study(data)
    return caught.value.reason


def rejected(data):
    """Why a file is rejected, in words."""
    with pytest.raises(StudyError) as caught:
        read_study(data)
    return caught.value.detail


def element(keyword, vr, value):
    """An element as explicit little-endian bytes, whatever value representation it has."""
    tag = Tag(keyword)
    if vr in ("UN", "OW", "OB", "SQ", "ZZ"):
        head = struct.pack("<HH2s2xL", tag.group, tag.element, vr.encode(), len(value))
    else:
        head = struct.pack("<HH2sH", tag.group, tag.element, vr.encode(), len(value))
    return head + value


def with_elements(made, *elements):
    """The file of `made` (explicit little-endian), with `elements` in place of those of the same tags, in order of tags."""
    data = encode(made)
    start = 144 + int.from_bytes(data[140:144], "little")
    parts = {}
    place = start
    while place < len(data):
        group, number, vr, length = struct.unpack_from("<HH2sH", data, place)
        end = place + 8 + length
        if vr in (b"OW", b"OB", b"SQ", b"UN"):
            length = int.from_bytes(data[place + 8 : place + 12], "little")
            end = len(data) if length == 0xFFFFFFFF else place + 12 + length
        parts[group, number] = data[place:end]
        place = end
    for item in elements:
        parts[struct.unpack_from("<HH", item)] = item
    return data[:start] + b"".join(parts[tag] for tag in sorted(parts))
