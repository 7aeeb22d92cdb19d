"""Whatever stands in a header, it is repeated legally, left out, or refused with the element named."""

import io
import re
import shutil
import subprocess
import warnings

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from tests.odd_headers import MISSPELT, NAMES, draw, file
from tests.radiographs import image

pytest.importorskip("highdicom")

from pneumonia.dicom.windowing import study_to_uint8
from pneumonia.reading_room.objects.findings import Algorithm, Findings
from pneumonia.reading_room.objects.make import make, not_analysed, write
from pneumonia.reading_room.objects.source import read_source, read_with_notes
from pneumonia.rejection import StudyError

ALGORITHM = Algorithm("1.2.3", "ab" * 32, "gate")
FOUND = Findings(np.array([[8.0, 4.5, 10.25, 20.0]]), np.array([0.875]), 0.9, 0.25)
WINDOW = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": (0.5, 99.5)}
DRAWN = 40  # files; 300 take two minutes


@pytest.mark.parametrize("charset", NAMES)
def test_a_name_stays_the_same_in_every_character_set(charset):
    written, wanted = NAMES[charset]
    source = read_source(file({"SpecificCharacterSet": charset, "PatientName": written}))
    assert str(source.PatientName) == wanted.rstrip("=")
    assert source.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize("letter", ["\xa0", "\xad", "\u200b", "\u2028", "\u202e", "\u3000", "\ue000"])
def test_a_letter_that_no_screen_shows_is_text_too(letter):
    name = f"Doe{letter}Roe^Jane"
    source = read_source(file({"SpecificCharacterSet": b"ISO_IR 192", "PatientName": name.encode()}))
    assert (str(source.PatientName), source.SpecificCharacterSet) == (name, "ISO_IR 192")
    issuer = Dataset()
    issuer.LocalNamespaceEntityID = f"A{letter}B"
    report = not_analysed(
        image(SpecificCharacterSet="ISO_IR 192", IssuerOfAccessionNumberSequence=[issuer]), "view", ALGORITHM
    )["sr"]
    assert report.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize("charset", MISSPELT)
def test_a_misspelt_character_set_is_the_one_that_is_meant(charset):
    written, wanted = NAMES[MISSPELT[charset]]
    assert str(
        read_source(file({"SpecificCharacterSet": charset, "PatientName": written})).PatientName
    ) == wanted.rstrip("=")


@pytest.mark.parametrize("charset", [b"klingon", b"ISO_IR 999", b"", b"ISO_IR 6"])
def test_a_name_in_an_unknown_character_set_is_left_out(charset):
    source, notes = read_with_notes(file({"SpecificCharacterSet": charset, "PatientName": b"Buc^J\xe9r\xf4me"}))
    assert (source.PatientName, source.PatientID) == ("", "P1")
    assert notes == ("PatientName has no legal value and is left out.",)
    source = read_source(file({"SpecificCharacterSet": charset, "PatientName": b"Doe^Jane"}))
    assert str(source.PatientName) == "Doe^Jane"
    assert "SpecificCharacterSet" not in source


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dsrdump (dcmtk) is not installed")
@pytest.mark.parametrize("charset", NAMES)
def test_dcmtk_reads_the_same_name_of_image_and_report(tmp_path, charset):
    data = file({"SpecificCharacterSet": charset, "PatientName": NAMES[charset][0]})
    (tmp_path / "image.dcm").write_bytes(data)
    report = make(data, study_to_uint8(data, **WINDOW).image, FOUND, ALGORITHM)["sr"]
    (path,) = write(tmp_path, "study", {"sr": report})

    def said(*command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout

    wanted = NAMES[charset][1].rstrip("=")
    assert f"{wanted} (F, 1950-01-02, #P1)" in said("dsrdump", "+U8", path)
    original = re.search(r"\[(.*)\]", said("dcmdump", "-q", "+U8", "+P", "0010,0010", tmp_path / "image.dcm"))
    if original:  # a dcmtk with iconv of glibc knows no ISO 2022 IR 87
        assert original[1].rstrip("=") == wanted
    else:
        assert b"IR 87" in charset


@pytest.mark.parametrize(
    ("name", "found", "wanted"),
    [
        ("PatientSex", b"male", "M"),
        ("PatientSex", b"f", "F"),
        ("PatientSex", b"U", ""),
        ("PatientSex", b"M\\F", ""),
        ("PatientBirthDate", b"2020-01-02", "20200102"),
        ("PatientBirthDate", b"2020.01.02", "20200102"),
        ("PatientBirthDate", b"00000000", ""),
        ("PatientBirthDate", b"20200231", ""),
        ("StudyDate", b"20200101-20200201", ""),
        ("StudyTime", b"12:30", "1230"),
        ("StudyTime", b"12:30:45.5", "123045.5"),
        ("StudyTime", b"240000", ""),
        ("StudyTime", b"236060", ""),
        ("PatientID", b" P1 ", "P1"),
        ("PatientID", b"P\t1", ""),
        ("PatientID", b"P1\\P2", ""),
        ("PatientID", b"P1\\P1", "P1"),
        ("PatientID", b"x" * 65, ""),
        ("AccessionNumber", b"x" * 16, "x" * 16),
        ("AccessionNumber", b"x" * 17, ""),
        ("AccessionNumber", "é".encode() * 16, "é" * 16),  # 32 bytes, but 16 characters, which is what SH counts
        ("PatientName", b"A^B\\", "A^B"),
        ("PatientName", b"A^B\\C^D", ""),
        ("PatientName", b"a=b=c=d", ""),
        ("ReferringPhysicianName", b"A^B\\A^B", "A^B"),
        ("StudyInstanceUID", b"1.2.3 ", "1.2.3"),
        ("PatientOrientation", b"LA\\F", "['LA', 'F']"),
        ("PatientOrientation", b"L\\R", ""),
        ("PatientOrientation", b"L", ""),
        ("PatientOrientation", b"LR\\F", ""),
        ("Laterality", b"B", ""),
    ],
)
def test_a_value_is_kept_mended_or_left_out(name, found, wanted):
    charset = {"SpecificCharacterSet": b"ISO_IR 192"} if not found.isascii() else {}
    assert str(read_source(file({name: found} | charset)).get(name, "")) == wanted


@pytest.mark.parametrize("found", [b"1.2.03", b"1.2.x", b"1." + b"2" * 63, b"1.2.3\\1.2.4", b"1..2"])
def test_an_illegal_uid_is_refused_by_its_element(found):
    with pytest.raises(
        StudyError, match="has no legal SeriesInstanceUID, so no DICOM object can refer to it"
    ) as caught:
        read_source(file({"SeriesInstanceUID": found}))
    assert caught.value.discreet == str(caught.value)  # a log says it too, since nothing of the file is repeated


def test_who_gave_out_an_id_is_copied():
    facility = Dataset()
    facility.UniversalEntityID, facility.UniversalEntityIDType, facility.IdentifierTypeCode = "1.2.9", "ISO", "MR"
    half = Dataset()
    half.UniversalEntityID = "1.2.9"
    data = image(
        IssuerOfPatientID="HOSPITAL",
        IssuerOfPatientIDQualifiersSequence=[facility],
        IssuerOfAccessionNumberSequence=[half],
    )
    for made in not_analysed(data, "view", ALGORITHM, capture=True).values():
        assert made.IssuerOfPatientID == "HOSPITAL"
        (item,) = made.IssuerOfPatientIDQualifiersSequence
        assert (item.UniversalEntityID, item.UniversalEntityIDType, item.IdentifierTypeCode) == ("1.2.9", "ISO", "MR")
        assert "IssuerOfAccessionNumberSequence" not in made  # half of a pair says nothing


def test_a_header_that_gets_lost_in_an_unknown_representation_is_followed():
    data = image()
    place = data.index(b"\x10\x00\x10\x00PN")
    data = data[:place] + b"\x09\x00\x10\x10??\x06\x00secret" + data[place:]
    assert str(read_source(data).PatientName) == "Doe^Jane"


def test_an_element_that_is_there_twice_is_refused_only_where_it_is_used():
    data = image()
    for tag, name in ((b"\x28\x00\x00\x01", ""), (b"\x20\x00\x0d\x00", "StudyInstanceUID")):
        place = data.index(tag)
        end = place + 8 + int.from_bytes(data[place + 6 : place + 8], "little")
        twice = data[:end] + data[place:end] + data[end:]
        if name:
            with pytest.raises(StudyError, match="StudyInstanceUID: found twice"):
                not_analysed(twice, "unreadable", ALGORITHM)
        else:  # BitsAllocated, for which the image is not read
            assert not_analysed(twice, "unreadable", ALGORITHM)["sr"].PatientID == "P1"


def test_any_header_ends_in_legal_objects_or_in_a_refusal(tmp_path):
    rng = np.random.default_rng(7)
    made, refused = 0, []
    for number in range(DRAWN):
        data, drawn = draw(rng, int(rng.integers(1, 5)))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                seen = study_to_uint8(data, **WINDOW)
                objects = make(data, seen.image, FOUND, ALGORITHM, capture=True, rendering=seen)
            except StudyError as error:
                refused += [(str(error), found.decode("latin-1")) for found in drawn.values() if len(found) > 5]
                continue
            made += 1
            for path in write(tmp_path, f"{number}", objects):
                dcmread(io.BytesIO(path.read_bytes()))
                if shutil.which("dciodvfy"):
                    said = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
                    errors = [line for line in (said.stdout + said.stderr).splitlines() if line.startswith("Error")]
                    assert errors == [], (path.name, drawn)
    assert made > DRAWN // 3
    assert [words for words in refused if words[1] in words[0]] == []  # no error quotes the file
