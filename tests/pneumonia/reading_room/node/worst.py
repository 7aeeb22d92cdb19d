"""Headers as they come from devices, archives and pseudonymizers: legal and unusual, or not legal at all.

The pixels are good, and each names its study and itself, so each image can be answered; `REFUSED` are those that are not to
be read, or cannot be.
"""

from __future__ import annotations

from typing import Any

READ: dict[str, dict[str, Any]] = {
    "a name in kanji and kana": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 87"],
        "PatientName": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    },
    "a name in hangul": {
        "SpecificCharacterSet": ["", "ISO 2022 IR 149"],
        "PatientName": "Hong^Gildong=洪^吉洞=홍^길동",
    },
    "a character set that is none": {"SpecificCharacterSet": "ISO 10646/UTF8", "PatientName": "Doe^Jané"},
    "sex U": {"PatientSex": "U"},
    "sex in a word": {"PatientSex": "female"},
    "dates of zeros": {"StudyDate": "00000000", "PatientBirthDate": "00000000"},
    "dates with dots": {"StudyDate": "2024.03.05", "SeriesDate": "2024.03.05"},
    "a date of no calendar": {"StudyDate": "20240230", "ContentDate": "20230229"},
    "the 24th hour": {"StudyTime": "240000", "ContentTime": "246060"},
    "times with colons": {"StudyTime": "10:11:12", "SeriesTime": "10:11"},
    "a window of no width": {"WindowCenter": "0", "WindowWidth": "0"},
    "empty windows": {"WindowCenter": "", "WindowWidth": ""},
    "two windows": {"WindowCenter": ["128", "100"], "WindowWidth": ["256", "50"]},
    "a name of two values": {"PatientName": ["Doe^Jane", "Roe^Jane"]},
    "a patient id of two values": {"PatientID": ["P1", "P2"]},
    "a patient id that is too long": {"PatientID": "P" * 80},
    "an accession number of 20 bytes": {"AccessionNumber": "A" * 20},
    "an orientation that is none": {"PatientOrientation": ["LA", "F"]},
    "an orientation of one value": {"PatientOrientation": "L"},
    "no patient at all": {"PatientName": None, "PatientID": None, "PatientSex": None, "PatientBirthDate": None},
    "no study date": {"StudyDate": None, "StudyTime": None, "StudyID": None, "AccessionNumber": None},
    "spacing of nothing": {"ImagerPixelSpacing": ["0", "0"]},
}
REFUSED: dict[str, dict[str, Any]] = {
    "a lateral view": {"ViewPosition": "LL"},
    "a view of no kind": {"ViewPosition": None},
    "a knee": {"BodyPartExamined": "KNEE", "PatientSex": "U"},
    "nothing in the picture": {"PixelData": b"\7" * 48 * 64, "StudyDate": "00000000"},
    "a picture cut off": {"PixelData": b"\7\1" * 8, "PatientName": ["Doe^Jane", "Roe^Jane"]},
    "no rows": {"Rows": 0},
    "a colour that is none": {"PhotometricInterpretation": "JANE.DOE"},
    "another modality": {"Modality": "DOE", "PatientOrientation": ["LA", "F"]},
}
