"""Every file of a folder by this project's decoder and by whichever independent ones are installed, value by value:

    pip install pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg python-gdcm dicomsdl    # in an environment of its own
    python -m benchmarks.decoders ../shared/dicom --sheet sheet.png

Prints how many values differ, and by how much at most; `--sheet` draws each file as the models would see it. Lossless
files must agree exactly; JPEG may differ by 1, where a library rounds its inverse cosine transform otherwise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pydicom

from pneumonia import params
from pneumonia.data.images.squares import resize_study
from pneumonia.dicom.decoders import Layout, decode
from pneumonia.dicom.windowing import study_to_uint8

TILE = 512


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sheet", type=Path, help="where to draw them")
    arguments = parser.parse_args()
    window = params.load().images.window.values()
    tiles = []
    for path in sorted(arguments.folder.glob("*.dcm")):
        dataset = pydicom.dcmread(path)
        layout = Layout(
            dataset.Rows,
            dataset.Columns,
            dataset.BitsAllocated,
            dataset.BitsStored,
            dataset.HighBit,
            dataset.PixelRepresentation == 1,
        )
        vr, syntax = str(dataset["PixelData"].VR), str(dataset.file_meta.TransferSyntaxUID)
        values, decoder, _ = decode(dataset.PixelData, vr, layout, syntax)
        print(f"{path.name}: {decoder}, {values.shape}, {values.dtype}, {values.min()} to {values.max()}")
        for name, other in OTHERS.items():
            try:
                difference = np.abs(other(path, dataset).astype(int) - values)
            except Exception as error:  # not installed, or not for this compression
                print(f"    {name}: {type(error).__name__}: {' '.join(str(error).split())[:80]}")
            else:
                print(
                    f"    {name}: {np.count_nonzero(difference)} of {values.size} differ, by {difference.max()} at most"
                )
        seen = study_to_uint8(path.read_bytes(), **window)
        tile = resize_study(seen.image, TILE, seen.header.aspect)
        tiles.append(cv2.putText(tile, f"{path.stem}: {seen.window}", (6, TILE - 8), 0, 0.4, 255))
    if arguments.sheet and tiles:
        tiles += [np.zeros((TILE, TILE), np.uint8)] * (-len(tiles) % 4)
        rows = [np.hstack(tiles[start : start + 4]) for start in range(0, len(tiles), 4)]
        cv2.imwrite(str(arguments.sheet), np.vstack(rows))


def _plugin(name: str) -> Callable[[Path, pydicom.Dataset], np.ndarray]:
    from pydicom.pixels import pixel_array

    return lambda path, dataset: pixel_array(dataset, raw=True, decoding_plugin=name)


def _dicomsdl(path: Path, dataset: pydicom.Dataset) -> np.ndarray:
    import dicomsdl

    return dicomsdl.open(str(path)).pixelData(storedvalue=True)


OTHERS = {
    "gdcm": _plugin("gdcm"),
    "pylibjpeg": _plugin("pylibjpeg"),
    "pillow": _plugin("pillow"),
    "dicomsdl": _dicomsdl,
}


if __name__ == "__main__":
    main()
