"""Radiographs whose header values are drawn from a list of legal and illegal ones, as bytes; same seed, same bytes."""

from __future__ import annotations

import numpy as np
from tests.dicom_files import element, with_elements
from tests.radiographs import IMAGE, image

JAPANESE = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"  # PS3.5, H.3.1
HALF_WIDTH = (
    b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"  # H.3.2
)
KOREAN = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"  # I.2
CHINESE = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="  # K.2
NAMES = {  # by character set: bytes, and the same as Unicode
    rb"\ISO 2022 IR 87": (JAPANESE, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    rb"ISO 2022 IR 13\ISO 2022 IR 87": (HALF_WIDTH, "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    rb"\ISO 2022 IR 149": (KOREAN, "Hong^Gildong=洪^吉洞=홍^길동"),
    rb"\ISO 2022 IR 58": (CHINESE, "Zhang^XiaoDong=张^小东="),
    b"ISO_IR 100": (b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),  # H.1
    b"ISO_IR 101": ("Dvořák^Ján".encode("iso8859-2"), "Dvořák^Ján"),
    b"ISO_IR 109": ("Ĉapek^Ĝis".encode("iso8859-3"), "Ĉapek^Ĝis"),
    b"ISO_IR 110": ("Bērziņš^Jānis".encode("iso8859-4"), "Bērziņš^Jānis"),
    b"ISO_IR 126": (b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
    b"ISO_IR 127": (b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار"),
    b"ISO_IR 138": (b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"),
    b"ISO_IR 144": (b"\xbb\xee\xda\x63\x65\xdc\xd1\x79\x70\xd3", "Люкceмбypг"),
    b"ISO_IR 148": ("Çavuşoğlu^İ".encode("iso8859-9"), "Çavuşoğlu^İ"),
    b"ISO_IR 166": ("นามสกุล^ชื่อ".encode("tis-620"), "นามสกุล^ชื่อ"),
    b"ISO_IR 13": (b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    b"ISO_IR 192": ("Wang^XiaoDong=王^小東=".encode(), "Wang^XiaoDong=王^小東="),
    b"GB18030": ("Wang^XiaoDong=王^小东=".encode("gb18030"), "Wang^XiaoDong=王^小东="),
    b"GBK": ("Wang^XiaoDong=王^小东=".encode("gbk"), "Wang^XiaoDong=王^小东="),
    rb"ISO 2022 IR 100\ISO 2022 IR 144": (b"J\xe9r\xf4me^\x1b-L\xbb\xee", "Jérôme^Лю"),
}
MISSPELT = {  # as they are found, and what each means
    b"ISO-IR 100": b"ISO_IR 100", b"ISO IR 100": b"ISO_IR 100", b"iso_ir 100": b"ISO_IR 100", b"ISO8859-1": b"ISO_IR 100",
    b"ISO_IR_100": b"ISO_IR 100", b"UTF8": b"ISO_IR 192", b"UTF-8": b"ISO_IR 192", rb"ISO_IR 192\ISO 2022 IR 87": b"ISO_IR 192",
    rb"ISO_IR 100\ISO 2022 IR 144": rb"ISO 2022 IR 100\ISO 2022 IR 144", rb"\ISO-2022-IR-149": rb"\ISO 2022 IR 149",
    b"ISO 2022 IR 87": rb"\ISO 2022 IR 87", rb"ISO 2022 IR 6\ISO 2022 IR 87": rb"\ISO 2022 IR 87",
    rb"ISO_IR 192\ ": b"ISO_IR 192",
}  # fmt: skip
_TEXT = [b"", b"   ", b"A", b"x" * 16, b"x" * 17, b"x" * 64, b"x" * 65, b"x" * 300, b"a\\b", b"a\\a", b"a\\", b"\\a", b"P\t1", b"P\n1",
         b"P\x001", b"P1\0", b" P1 ", b"\x1b$B", b"\xe4\xf6", "äö".encode(), b"\x7f", b"a^b=c", b"-"]  # fmt: skip
_DATES = [b"20240305", b"00000000", b"2020-01-02", b"2020.01.02", b"20200231", b"20240101-20240201", b"-20200101", b"2020", b"202001",
          b"20240305 ", b"d14a028c", b"", b"20240305\\20240306", b"01/02/2020", b"00010101", b"2020-0102"]  # fmt: skip
_TIMES = [b"101112", b"240000", b"12:30", b"12:30:45.5", b"236060", b"235960", b"10", b"1012", b"101112.123456", b"101112.1234567",
          b"101112.", b"1000-1100", b"", b"noon", b"9", b"101112 ", b"101112\\101113", b"-1"]  # fmt: skip
_UIDS = [b"1.2.3", b"1.2.3 ", b"1.2.3\0", b" 1.2.3", b"1.2.03", b"1.2.x", b"1." + b"2" * 62, b"1." + b"2" * 63, b"1.2.3\\1.2.4",
         b"1.2.3\\1.2.3", b"1..2", b".1.2", b"1.2.", b"", b"1 2 3", b"1.2.3\n"]  # fmt: skip
_SEXES = [b"M", b"F", b"O", b"U", b"W", b"male", b"Female", b"m", b"", b"MF", b"M\\F", b"M\\M", b"\xff"]
_ORIENTATIONS = [b"L\\F", b"LA\\F", b"L\\FP", b"AL\\H", b"L", b"L\\R", b"L\\F\\A", b"LR\\F", b"X\\Y", b"", b"\\", b"l\\f", b"left\\foot",
                 b"LL\\F", b"L \\F ", b"RT\\D"]  # fmt: skip
_NUMBERS = [b"0.143\\0.143", b"0.2\\0.1", b"0,143\\0,143", b"0\\0", b"-1\\-1", b"NaN\\NaN", b"1e400\\1", b"", b"0.143", b"a\\b", b"1\\2\\3",
            b"0.1430000000000000001\\0.1430000000000000001"]  # fmt: skip
_WINDOWS = [b"128", b"0", b"", b"-5", b"NaN", b"128\\60", b"128,5", b"128\\", b"lung", b"1e9", b"0.5", b"1", b"inf"]
_CHARSETS = [*NAMES, *MISSPELT, b"", b"\\", b"ISO_IR 999", b"klingon", b"ISO_IR 203", b"ISO 2022 IR 159", b"\\\\"]
_TYPED: dict[str, tuple[list[bytes], str]] = {  # by value representation: values, and elements that get them
    "LO": (_TEXT, "PatientID IssuerOfPatientID PixelSpacingCalibrationDescription"),
    "SH": (_TEXT, "AccessionNumber StudyID"),
    "PN": ([*_TEXT, b"A^B^C^D^E^F", b"a=b=c=d", b"A^B\\C^D"], "PatientName ReferringPhysicianName"),
    "DA": (_DATES, "PatientBirthDate StudyDate ContentDate SeriesDate"),
    "TM": (_TIMES, "StudyTime ContentTime AcquisitionTime"),
    "UI": (_UIDS, "StudyInstanceUID SeriesInstanceUID SOPInstanceUID"),
    "DS": (_NUMBERS, "PixelSpacing ImagerPixelSpacing"),
}
VALUES: dict[str, tuple[str, list[bytes]]] = {
    **{name: (vr, values) for vr, (values, names) in _TYPED.items() for name in names.split()},
    "SpecificCharacterSet": ("CS", _CHARSETS),
    "PatientSex": ("CS", _SEXES),
    "PatientOrientation": ("CS", _ORIENTATIONS),
    "PatientAge": ("AS", [b"057Y", b"57", b"x"]),
    "Laterality": ("CS", [b"R", b"L", b"B", b"U", b"right", b"x", b"R\\L", b""]),
    "Modality": ("CS", [b"CR", b"DX", b"RG", b"cr", b"", b"MR"]),
    "BodyPartExamined": ("CS", [b"CHEST", b"chest", b"x" * 40]),
    "Rows": ("US", [IMAGE.shape[0].to_bytes(2, "little"), b"", b"\0\0"]),
    "NumberOfFrames": ("IS", [b"1", b"0", b"-1", b"", b"2", b"x", b"1\\1", b"1.0"]),
    "PixelAspectRatio": ("IS", [b"1\\1", b"2\\1", b"0\\0", b"1", b"-1\\1", b"a\\1", b"1.5\\1"]),
    "PixelSpacingCalibrationType": ("CS", [b"GEOMETRY", b"FIDUCIAL", b"x?"]),
    "WindowCenter": ("DS", _WINDOWS),
    "WindowWidth": ("DS", _WINDOWS),
    "RescaleSlope": ("DS", [b"1", b"0", b"2", b"1,0", b"x", b""]),
    "RescaleIntercept": ("DS", [b"0", b"-1024", b"-1024,0", b"x", b""]),
    "RescaleType": ("LO", [b"HU", b"US", b"hu", b"x" * 99, b"\xff", b"A\\B"]),
    "PresentationLUTShape": ("CS", [b"IDENTITY", b"INVERSE", b"x"]),
    "LossyImageCompression": ("CS", [b"00", b"01", b"1", b"yes", b"", b"01\\01"]),
    "LossyImageCompressionRatio": ("DS", [b"10", b"x", b"10\\2"]),
    "LossyImageCompressionMethod": ("CS", [b"ISO_10918_1", b"jpeg?", b"A\\B"]),
    "BurnedInAnnotation": ("CS", [b"YES", b"maybe"]),
}


def draw(rng: np.random.Generator, odd: int) -> tuple[bytes, dict[str, bytes]]:
    """A file in which so many elements are drawn, and their bytes; with a character set often a name in one."""
    names = [str(name) for name in rng.choice(list(VALUES), odd, replace=False)]
    drawn = {name: VALUES[name][1][int(rng.integers(len(VALUES[name][1])))] for name in names}
    if "SpecificCharacterSet" in drawn and rng.random() < 0.8:
        drawn["PatientName"] = NAMES[list(NAMES)[int(rng.integers(len(NAMES)))]][0]
    return file(drawn), drawn


def file(values: dict[str, bytes]) -> bytes:
    """A radiograph with these values, whatever they are."""
    from pydicom import dcmread
    from pydicom.filebase import DicomBytesIO

    made = dcmread(DicomBytesIO(image()))
    parts = []
    for name, value in values.items():
        vr = VALUES[name][0]
        parts.append(element(name, vr, value + (b"\0" if vr == "UI" else b" ") * (len(value) % 2)))
    return with_elements(made, *parts)
