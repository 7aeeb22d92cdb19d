"""A made-up folder as NIH publishes ChestX-ray14: twenty small PNGs in two folders, and a label file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
# The older header names two columns each with a comma within; its rows have the fields that follow from that, and one more.
OLD = f"{HEADER},OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
NEW = f"{HEADER},OriginalImageWidth,OriginalImageHeight,OriginalImagePixelSpacing_x,OriginalImagePixelSpacing_y"
SIZE = 64


def picture(number: int, opaque: bool) -> np.ndarray:
    """Noise, and where `opaque` a bright square: something that can be learned."""
    image = np.random.default_rng(number).integers(20, 90, (SIZE, SIZE)).astype(np.uint8)
    if opaque:
        image[20:44, 8:28] = 220
    return image


def png(pixels: np.ndarray, form: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def names(count: int = 20) -> list[str]:
    """Two images a person: 00000001_000, 00000001_001, 00000002_000 ..."""
    return [f"{1 + i // 2:08d}_{i % 2:03d}" for i in range(count)]


def write(folder: Path, count: int = 20) -> Path:
    """`images_001/images/*.png`, `images_002/images/*.png`, `Data_Entry_2017_v2020.csv`; returns the label file.

    Every second person has Effusion, every image of an odd person alone "No Finding".
    """
    lines = [NEW]
    for i, name in enumerate(names(count)):
        opaque = (i // 2) % 2 == 1
        part = folder / f"images_{1 + i * 2 // count:03d}" / "images"
        part.mkdir(parents=True, exist_ok=True)
        (part / f"{name}.png").write_bytes(png(picture(i, opaque)))
        found = "Effusion|Pneumonia" if opaque else "No Finding"
        lines.append(f"{name}.png,{found},{i % 2},{1 + i // 2},58,M,PA,{SIZE},{SIZE},0.143,0.143")
    path = folder / "Data_Entry_2017_v2020.csv"
    path.write_text("\n".join(lines) + "\n")
    return path
