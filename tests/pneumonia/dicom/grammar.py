"""Radiographs drawn from a grammar, and what two independent readers make of them:

    python -m tests.pneumonia.dicom.grammar --seed 1 --files 3000

Each file is a small ramp with noise in a drawn encoding, depth, sign, modality and VOI transformation, polarity and
padding; in about half of them something is malformed. Through `pneumonia render`, the file must look as dcmtk's `dcm2pnm` and
pydicom's own functions show it, to one grey level, or be rejected with an element named. The few places where the readers
are known to differ are `KNOWN`, and explained in docs/data.md.
"""

from __future__ import annotations

import argparse
import functools
import io
import shutil
import struct
import subprocess
import tempfile
import warnings
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pydicom
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from tests.dicom_files import dataset, encode

from pneumonia.dicom.windowing import Rendering, study_to_uint8
from pneumonia.reading_room.render import render
from pneumonia.rejection import StudyError

SIDE = 24  # pixels
WINDOW = {"mode": "auto", "center": -600.0, "width": 1500.0, "percentiles": (0.5, 99.5)}
Random = np.random.Generator
SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg": JPEGBaseline8Bit,
    "jpeg2000": JPEG2000Lossless,
    "jpegls": JPEGLSLossless,
    "lossless": JPEGLosslessSV1,
}
# Drawn words by part; those after the bar are malformed.
GRAMMAR = {
    "syntax": ("explicit explicit implicit big deflated rle jpeg jpeg2000 jpegls lossless", ""),
    "bits": ("8 8 7 10 12 12 16 16", ""),
    "sign": ("unsigned unsigned signed", ""),
    "high": ("low low low low top", "empty"),
    "rescale": ("none none one half double shift negative", "comma thousands text intercept empty two zero"),
    "modality_lut": ("none none none none none right", "nodata"),
    "voi_lut": ("none none none right right shifted bytes", "narrow wide wild short long nodata noitems ss"),
    "window": ("none one one two narrow", "trailing nan text first width0 negative nowidth unequal comma"),
    "function": ("none none LINEAR LINEAR_EXACT SIGMOID", "JUNK linear_exact"),
    "photometric": ("MONOCHROME2 MONOCHROME2 MONOCHROME1", "blank"),
    "shape": ("none none right", "wrong"),
    "padding": ("none none none value range", "other outside"),
    "vr": ("none", "?? blank ZZ"),
    "stream": ("none", "signed deep"),
}


@dataclass(frozen=True)
class Drawn:
    """A file, and the words it was drawn from; `odd` are the malformed ones."""

    data: bytes
    words: dict[str, str]
    odd: frozenset[str]

    def __str__(self) -> str:
        return " ".join(f"{part}={word}" for part, word in self.words.items() if word != "none")


def draw(rng: Random) -> Drawn:
    """A file: well-formed with odds of one half, else with one or two malformed parts."""
    words = {part: str(rng.choice(usual.split())) for part, (usual, _) in GRAMMAR.items()}
    odd: set[str] = set()
    if rng.random() < 0.5:
        parts = [part for part, (_, malformed) in GRAMMAR.items() if malformed]
        for part in rng.choice(parts, int(rng.integers(1, 3)), replace=False):
            words[part] = str(rng.choice(GRAMMAR[part][1].split()))
            odd.add(f"{part}={words[part]}")
    _settle(words)
    odd &= {f"{part}={word}" for part, word in words.items()}
    return Drawn(_file(words, rng), words, frozenset(odd))


def _settle(words: dict[str, str]) -> None:
    """What one word excludes of others."""
    if words["stream"] != "none":
        words["syntax"], words["bits"], words["high"] = "jpeg2000", "16", "low"
        if words["stream"] == "signed":
            words["sign"] = "unsigned"
        else:
            words["bits"] = "12"
    if words["syntax"] == "jpeg":
        words["bits"], words["sign"] = "8", "unsigned"
    if words["syntax"] in ("jpeg2000", "jpegls", "lossless"):
        words["sign"] = "unsigned"
        if words["syntax"] == "jpeg2000" and words["stream"] == "none":
            words["bits"] = "8" if words["bits"] in ("7", "8") else "16"
        if words["high"] == "top":
            words["high"] = "low"
    if words["bits"] == "16" and words["rescale"] in ("negative", "double", "shift"):  # tables reach 16 bits
        words["rescale"] = "one" if words["sign"] == "signed" else "shift"
    if words["modality_lut"] == "right":
        words["rescale"] = "none"  # pydicom's range of a window counts both
    if words["vr"] != "none" and words["syntax"] in ("implicit", "big", "deflated"):
        words["syntax"] = "explicit"


def _file(words: dict[str, str], rng: Random) -> bytes:
    bits, signed = int(words["bits"]), words["sign"] == "signed"
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if words["stream"] == "signed":
        high = 2**15 - 1
    ramp = np.linspace(low, high, SIDE * SIDE).round().astype(int).reshape(SIDE, SIDE)
    pixels = np.clip(ramp + rng.integers(-2, 3, ramp.shape) * max(1, (high - low) // 200), low, high)
    made = _frame(pixels, words, bits, signed)
    made.BitsStored, made.HighBit = bits, bits - 1
    if words["high"] == "top" and made.BitsAllocated > bits:
        made.HighBit = made.BitsAllocated - 1
    if words["high"] == "empty":
        made.HighBit = None
    if words["photometric"] != "blank":
        made.PhotometricInterpretation = words["photometric"]
    after = _modality(made, words, low, high)
    _voi(made, words, *after)
    if words["shape"] != "none":
        inverse = (words["photometric"] == "MONOCHROME1") == (words["shape"] == "right")
        made.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    if words["padding"] != "none":
        value, limit = int(pixels[0, 0]), int(pixels[0, 5])
        vr = "SS" if signed != (words["padding"] == "other") else "US"
        if words["padding"] == "outside":
            value = 30_000 if bits < 15 else value
        made.add_new("PixelPaddingValue", vr, _word(value, vr))
        if words["padding"] == "range":
            made.add_new("PixelPaddingRangeLimit", vr, _word(limit, vr))
    data = _encode(made, words)
    if words["photometric"] == "blank":
        data = data.replace(b"MONOCHROME2 ", b"MONOCHROME 2").replace(b"\x0b\0MONOCHROME2", b"\x0b\0MONOCHROME2")
    return _odd_vr(data, words["vr"])


def _word(value: int, vr: str) -> int:
    return struct.unpack("<h" if vr == "SS" else "<H", struct.pack("<H", value % 65536))[0]


def _frame(pixels: np.ndarray, words: dict[str, str], bits: int, signed: bool) -> Dataset:
    size = 8 if bits <= 8 else 16
    kind = f"{'i' if signed else 'u'}{size // 8}"
    values, syntax = pixels.astype(kind), SYNTAXES[words["syntax"]]
    if words["high"] == "top":
        values = (values.view(f"u{size // 8}") << np.uint8(size - bits)).astype(f"u{size // 8}")
    elif signed and bits < size:
        values = values.view(f"u{size // 8}") & np.asarray(2**bits - 1, f"u{size // 8}")
    made = dataset(np.ascontiguousarray(values), ExplicitVRLittleEndian if syntax == RLELossless else syntax)
    made.PixelRepresentation = int(signed)
    if size == 8:
        made["PixelData"].VR = "OB" if words["syntax"] != "implicit" else "OW"
        if len(made.PixelData) % 2:
            made.PixelData += b"\0"
    if syntax == RLELossless:
        made.BitsStored, made.HighBit = size, size - 1
        made.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    elif words["syntax"] in ("jpeg", "jpeg2000", "jpegls", "lossless"):
        made.PixelData = encapsulate([_encoded(values, words, bits)])
        made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return made


def _encoded(values: np.ndarray, words: dict[str, str], bits: int) -> bytes:
    if words["syntax"] == "jpeg":
        return cv2.imencode(".jpg", values, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    if words["syntax"] == "jpeg2000":
        stored = values + np.uint16(2**15) if words["stream"] == "signed" else values
        stream = io.BytesIO()
        Image.fromarray(stored).save(stream, "JPEG2000", irreversible=False, no_jp2=True)
        frame = bytearray(stream.getvalue())
        if words["stream"] == "signed":
            frame[frame.index(b"\xff\x4f\xff\x51") + 42] |= 0x80
        return bytes(frame)
    import imagecodecs

    if words["syntax"] == "jpegls":
        return bytes(imagecodecs.jpegls_encode(values))
    return bytes(imagecodecs.ljpeg_encode(values, bitspersample=bits))


def _modality(made: Dataset, words: dict[str, str], low: int, high: int) -> tuple[float, float]:
    """Add the modality transformation; returns the range of values after it."""
    slope, intercept = {
        "half": ("0.5", "-1024"),
        "shift": ("1", "-1024"),
        "double": ("2", "-1024"),
        "negative": ("-2", "100"),
        "one": ("1", "0"),
    }.get(words["rescale"], (None, None))
    odd = {
        "comma": ("1,000000", "-1024,000000"),
        "thousands": ("1,000", "-1024"),
        "text": ("1", "Hounsfield"),
        "intercept": (None, "-1024"),
        "empty": ("", ""),
        "two": ("1\\2", "0"),
        "zero": ("0", "5"),
    }
    slope, intercept = odd.get(words["rescale"], (slope, intercept))
    if slope is not None:
        _text(made, "RescaleSlope", slope)
    if intercept is not None:
        _text(made, "RescaleIntercept", intercept)
    if words["modality_lut"] != "none":
        made.ModalityLUTSequence = [
            _table(
                high - low + 1,
                low,
                16,
                65535,
                vr="SS" if low < 0 else "US",
                data=words["modality_lut"] == "right",
                order=">" if words["syntax"] == "big" else "<",
            )
        ]
        if words["modality_lut"] == "right":
            return 0, 65535
    number = {
        "comma": (1, -1024),
        "half": (0.5, -1024),
        "shift": (1, -1024),
        "double": (2, -1024),
        "negative": (-2, 100),
    }.get(words["rescale"], (1, 0))
    ends = sorted((low * number[0] + number[1], high * number[0] + number[1]))
    return ends[0], ends[1]


def _table(
    entries: int, first: int, bits: int, top: int, *, data: bool = True, vr: str = "US", order: str = "<"
) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [_word(value, vr) for value in (entries, first, bits)])
    if data:
        table = (np.linspace(0, 1, entries) ** 1.5 * top).round().astype(int)
        if entries < 2**15:
            item.add_new("LUTData", "US", table.tolist())
        else:  # more than the length of an explicit US can say
            item.add_new("LUTData", "OW", table.astype(f"{order}u2").tobytes())
    return item


def _voi(made: Dataset, words: dict[str, str], low: float, high: float) -> None:
    entries, first, vr = int(min(high - low + 1, 4096)), int(low), "SS" if low < 0 else "US"
    word, right = words["voi_lut"], {"bits": 12, "top": 4095}
    table = functools.partial(_table, entries, first, vr=vr)
    tables = {
        "right": lambda: [table(**right)],
        "shifted": lambda: [_table(entries // 2, first + entries // 4, **right, vr=vr)],
        "bytes": lambda: [table(8, 255)],
        "narrow": lambda: [table(16, 4095)],
        "wide": lambda: [table(10, 4095)],
        "wild": lambda: [table(10, 4095)],
        "short": lambda: [table(**right)],
        "long": lambda: [table(**right)],
        "nodata": lambda: [table(**right, data=False)],
        "noitems": list,
        "ss": lambda: [_table(entries, first, **right, vr="US" if low < 0 else "SS")],
    }
    if word in tables:
        made.VOILUTSequence = tables[word]()
        if word in ("wild", "short", "long"):
            item = made.VOILUTSequence[0]
            data = list(item.LUTData)
            data = data[::-1][: len(data) // 2] + data[len(data) // 2 :] if word == "wild" else data
            item.LUTData = data[:-9] if word == "short" else data + [0] * 9 if word == "long" else data
    middle, span = round((low + high) / 2), max(2, round((high - low) * 0.8))
    windows = {
        "one": (f"{middle}", f"{span}"),
        "two": (f"{middle}\\{middle + 3}", f"{span}\\{span + 7}"),
        "narrow": (f"{middle}", f"{max(2, span // 4)}"),
        "trailing": (f"{middle}\\", f"{span}\\"),
        "nan": (f"{middle}\\NaN", f"{span}\\NaN"),
        "text": ("lung", f"{span}"),
        "first": (f"NaN\\{middle}", f"{span}\\{span}"),
        "width0": (f"{middle}", "0"),
        "negative": (f"{middle}", "-7"),
        "nowidth": (f"{middle}", None),
        "unequal": (f"{middle}\\{middle + 3}", f"{span}"),
        "comma": (f"{middle},50", f"{span},25"),
    }
    if words["window"] in windows:
        center, width = windows[words["window"]]
        _text(made, "WindowCenter", center)
        if width is not None:
            _text(made, "WindowWidth", width)
    if words["function"] != "none":
        made.VOILUTFunction = words["function"]


def _text(made: Dataset, keyword: str, text: str) -> None:
    """An element whose text pydicom would refuse as a number."""
    made.add_new(keyword, "LO", text)


def _encode(made: Dataset, words: dict[str, str]) -> bytes:
    deflated = words["syntax"] == "deflated"
    if deflated:
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        data = encode(made)
    if words["syntax"] == "implicit":  # there is no representation to correct
        return data
    order = ">" if words["syntax"] == "big" else "<"
    for keyword in ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"):
        tag = pydicom.tag.Tag(keyword)
        head = struct.pack(f"{order}HH", tag.group, tag.element)
        data = data.replace(head + b"LO", head + b"DS")
    if not deflated:
        return data
    start = 144 + int.from_bytes(data[140:144], "little")
    made.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = encode(made)
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = deflater.compress(data[start:]) + deflater.flush()
    return head[: 144 + int.from_bytes(head[140:144], "little")] + body + b"\0" * (len(body) % 2)


def _odd_vr(data: bytes, word: str) -> bytes:
    if word == "none":
        return data
    vr = {"??": b"??", "blank": b"  ", "ZZ": b"ZZ"}[word]
    place = data.index(struct.pack("<HH", 0x28, 2))
    return data[:place] + struct.pack("<HH2sH", 0x27, 0x1010, vr, 6) + b"secret" + data[place:]


def by_pydicom(data: bytes, seen: Rendering, number: int) -> np.ndarray | None:
    """Grey values 0 to 255, float, by pydicom's functions, with the file's window of that number or the one used here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            made = pydicom.dcmread(io.BytesIO(data))
            values = apply_modality_lut(made.pixel_array, made)
            if seen.window == "voi_lut":
                bits = made.VOILUTSequence[0].LUTDescriptor[2]
                grey = apply_voi_lut(values, made) / (2**bits - 1) * 255
            else:
                function = str(made.get("VOILUTFunction", "LINEAR") or "LINEAR")
                center, width = made.get("WindowCenter"), made.get("WindowWidth")
                if seen.window != "dicom":
                    function, center, width = "LINEAR_EXACT", seen.center, seen.width
                    made.WindowCenter, made.WindowWidth, made.VOILUTFunction = center, width, function
                    made.pop("VOILUTSequence", None)
                index = number - 1 if seen.window == "dicom" else 0
                grey = _scaled(apply_voi_lut(values, made, index, prefer_lut=False), made)
        except Exception:
            return None
    return 255 - grey if made.PhotometricInterpretation == "MONOCHROME1" else grey


def _scaled(out: np.ndarray, made: Dataset) -> np.ndarray:
    """pydicom spreads a window over the range of the stored values, after the modality LUT."""
    bits = made.BitsStored
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if made.PixelRepresentation else (0, 2**bits - 1)
    if made.get("ModalityLUTSequence"):
        low, high = 0, 2 ** made.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    elif "RescaleSlope" in made and "RescaleIntercept" in made:
        low, high = (item * made.RescaleSlope + made.RescaleIntercept for item in (low, high))
    return (out - low) / (high - low) * 255


def by_dcmtk(path: Path, seen: Rendering, number: int) -> np.ndarray | None:
    """Grey values by `dcm2pnm` with the window of that number, None where it cannot read the file."""
    picture = path.with_suffix(".pgm")
    picture.unlink(missing_ok=True)
    # Of its functions one is linear with halves and ones (C.11.2.1.2.1): this window is that of LINEAR_EXACT.
    exact = ["+Ww", str(seen.center + 0.5), str(seen.width + 1), "+Wfl"]
    chosen = {"voi_lut": ["+Wl", "1"], "dicom": ["+Wi", str(number)], "hu": ["+Ww", str(seen.center), str(seen.width)]}
    syntax = str(pydicom.dcmread(path, specific_tags=["Rows"]).file_meta.TransferSyntaxUID)
    programs = {JPEGLSLossless: "dcml2pnm", JPEGBaseline8Bit: "dcmj2pnm", JPEGLosslessSV1: "dcmj2pnm"}
    program = programs.get(syntax, "dcm2pnm")
    done = subprocess.run(
        [program, "-q", "-O", "+op", *chosen.get(seen.window, exact), path, picture], capture_output=True
    )
    read = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED) if done.returncode == 0 and picture.is_file() else None
    return None if read is None else read.astype(float)


# Who differs, in which words, and why: see docs/data.md.
_TABLE = "voi_lut=right|shifted|bytes|narrow|wide|ss"
_OWN = "window=one|two|narrow|trailing|nan|first|unequal|comma"
KNOWN: dict[str, tuple[str, ...]] = {
    "pydicom": (
        "high=top",
        "voi_lut=bytes|ss|narrow|wide",
        "stream=signed",
        f"rescale=half|comma {_TABLE}",
        f"syntax=implicit sign=unsigned rescale=shift|double|negative {_TABLE}",
        f"bits=7|8|16 sign=signed {_TABLE}",
        "bits=7|8|16 sign=signed modality_lut=right",
    ),
    "dcmtk": (
        "shape=wrong",
        "rescale=half",
        "window=comma",
        "voi_lut=narrow|wide",
        f"function=LINEAR_EXACT|linear_exact {_OWN}",
    ),
}


def known(reader: str, drawn: Drawn) -> bool:
    """Whether the reader is known to differ on such a file."""
    return any(
        all(drawn.words[part] in words.split("|") for part, words in (item.split("=") for item in rule.split()))
        for rule in KNOWN[reader]
    )


def compare(drawn: Drawn, folder: Path, dcmtk: bool, picture: np.ndarray | None) -> list[str]:
    """Outcomes: `ok`, `rejected`, `rejected well-formed`, and `<reader> agrees | differs | known | cannot`.

    Arguments:
        picture: that `rendered` gave of the file; it must be what the models get.
    """
    try:
        seen = study_to_uint8(drawn.data, **WINDOW)
        assert picture is not None
        assert np.array_equal(picture, seen.image)
    except StudyError as error:
        assert picture is None
        return ["rejected" if drawn.odd else "rejected well-formed", f"reason {error.detail[:60]}"]
    outcomes = ["ok"]
    path = folder / "drawn.dcm"
    path.write_bytes(drawn.data)
    number = 2 if drawn.words["window"] == "first" else 1  # the first is unreadable
    others = {"pydicom": by_pydicom(drawn.data, seen, number)}
    if dcmtk:
        others["dcmtk"] = by_dcmtk(path, seen, number)
    for reader, grey in others.items():
        if grey is None or grey.shape != seen.image.shape:
            outcomes.append(f"{reader} cannot")
            continue
        differs = np.abs(grey - seen.image)
        if drawn.words["padding"] != "none":
            differs = differs[1:][seen.image[1:] > 0]  # painted black, which others do not
        worst = float(differs.max()) if differs.size else 0.0
        outcomes.append(f"{reader} {'agrees' if worst <= 1.5 else 'known' if known(reader, drawn) else 'differs'}")
        if worst > 1.5:
            outcomes.append(f"by {reader} {worst:.0f}")
    return outcomes


def rendered(files: list[bytes], folder: Path) -> list[np.ndarray | None]:
    """What `pneumonia render` makes of a folder of these files: a picture each, None where it is rejected."""
    (folder / "files").mkdir()
    for number, data in enumerate(files):
        (folder / "files" / f"{number:06}.dcm").write_bytes(data)
    count = render(folder / "files", folder / "output", window=WINDOW)
    assert count["files"] == len(files) == count["ok"] + count["rejected"], count
    rows = pd.read_csv(folder / "output" / "render.csv", dtype=str, keep_default_na=False)
    pictures = [folder / "output" / f"{study}.png" for study in rows["study"]]
    assert [path.is_file() for path in pictures] == [status == "ok" for status in rows["status"]]
    assert all(
        bool(reason) == (status == "rejected") for reason, status in zip(rows["reason"], rows["status"], strict=True)
    )
    return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) if path.is_file() else None for path in pictures]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--files", type=int, default=3000)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(arguments.seed)
    drawn = [draw(rng) for _ in range(arguments.files)]
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        pictures = rendered([each.data for each in drawn], Path(folder))
        for number, (each, picture) in enumerate(zip(drawn, pictures, strict=True)):
            outcomes = compare(each, Path(folder), shutil.which("dcm2pnm") is not None, picture)
            counts.update(item for item in outcomes if not item.startswith("by"))
            if any("differs" in item or "well-formed" in item for item in outcomes):
                print(number, outcomes, each, flush=True)
    for name, count in sorted(counts.items()):
        print(f"{count:6} {name}")


if __name__ == "__main__":
    main()
