"""Predictions of many studies by a trained model: in batches, averaged with the mirror image, in original pixels.

Nothing here chooses a threshold: detections above a low floor go to disk, so that tuning one costs no inference.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from keraskit.boxes import arrays
from pneumonia import files
from pneumonia.data.images.store import ShardStore
from pneumonia.prediction.tables import write_predictions
from pneumonia.schema.predictions import DETECTIONS, MAPS, SCORES
from pneumonia.schema.table import BOX

if TYPE_CHECKING:
    import pandas as pd

Detections = NDArray[np.float32]  # [n, 5] x1 y1 x2 y2 score


class Store(Protocol):
    """Images of one size, and the way back to original pixels: `pneumonia.data.images.store.ShardStore`, or studies in memory."""

    def batch(self, studies: Sequence[str]) -> NDArray[np.uint8]:
        """uint8 `[B, size, size]`."""

    def to_original(self, study: str, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """`[N, 4]` x1 y1 x2 y2 of the resized image -> x, y, width, height in original pixels, clipped."""


def predict_studies(
    name: str,
    folder: Path,
    images: Path,
    studies: Sequence[str] | None,
    out: Path,
    *,
    score_floor: float,
    nms_iou: float,
    max_detections: int,
    flip: bool,
    batch_size: int,
) -> int:
    """Write a model's predictions to `out`: scores.csv with detections.csv or cam.npy, as docs/design.md has them.

    The arguments not named here are the section `predict` of params.yaml.

    Arguments:
        name: one of `pneumonia.schema.models.MODELS`.
        folder: of the trained model.
        images: folder of the image sizes; the model says which it wants.
        studies: which; None: every study that is there.
        out: replaced whole.

    Returns:
        the number of studies.
    """
    model = load(name, folder)
    store = ShardStore(Path(images) / str(model.image_size))
    chosen = sorted(store.index.index if studies is None else studies)
    if name == "classifier":
        scores, cam = classify(model, store, chosen, flip=flip, batch_size=batch_size)
        write_scores(out, chosen, scores, cam)
    else:
        detections = detect(
            model,
            store,
            chosen,
            score_floor=score_floor,
            nms_iou=nms_iou,
            max_detections=max_detections,
            flip=flip,
            batch_size=batch_size,
        )
        write_predictions(out, detections, best_scores(detections, chosen))
    return len(chosen)


def write_nothing(out: Path) -> None:
    """Write the predictions of a detector that is off: tables without a row."""
    import pandas as pd

    write_predictions(out, pd.DataFrame(columns=list(DETECTIONS.columns)), pd.DataFrame(columns=list(SCORES.columns)))


def load(name: str, folder: Path) -> Any:
    """A trained model by its name; with `image_size` and `predict` (the classifier) or `detect` (the detectors)."""
    # By name, so that a prediction depends on the code of its own model alone.
    try:
        trained = importlib.import_module(f"pneumonia.models.{name}.trained")
    except ModuleNotFoundError as error:
        if error.name != f"pneumonia.models.{name}":
            raise  # of a package that the model needs
        raise ValueError(f"there is no model {name!r}: no module {error.name}") from error
    return trained.load(folder)


def classify(
    model: Any, store: Store, studies: Sequence[str], *, flip: bool, batch_size: int, progress: bool = True
) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    """Scores `[N]` and class activation maps float16 `[N, h, w]`; `flip`: the mean with those of the mirror image."""
    side = model.image_size // 32
    scores, maps = [np.zeros(0, np.float32)], [np.zeros((0, side, side), np.float16)]
    for _, images in _batches(store, studies, batch_size, "classifier" if progress else None):
        score, cam = model.predict(images)
        if flip:
            mirrored_score, mirrored_cam = model.predict(np.ascontiguousarray(images[:, :, ::-1]))
            score, cam = (score + mirrored_score) / 2, (cam + mirrored_cam[:, :, ::-1]) / 2
        scores.append(score)
        maps.append(cam.astype(np.float16))
    return np.concatenate(scores), np.concatenate(maps)


def detect(
    model: Any,
    store: Store,
    studies: Sequence[str],
    *,
    score_floor: float,
    nms_iou: float,
    max_detections: int,
    flip: bool,
    batch_size: int,
    progress: bool = True,
) -> pd.DataFrame:
    """Detections of `studies`: columns study, x, y, width, height (pixels of the original image), score."""
    import pandas as pd

    options: dict[str, Any] = {"score_floor": score_floor, "nms_iou": nms_iou, "max_detections": max_detections}
    tables = []
    title = type(model).__module__.split(".")[-2] if progress else None  # pneumonia.models.<name>.trained
    for names, images in _batches(store, studies, batch_size, title):
        found = model.detect(images, **options)
        if flip:
            mirrored = model.detect(np.ascontiguousarray(images[:, :, ::-1]), **options)
            found = [
                merge_views(own, mirror(other, model.image_size), **options)
                for own, other in zip(found, mirrored, strict=True)
            ]
        for study, rows in zip(names, found, strict=True):
            original = store.to_original(study, rows[:, :4])
            table = pd.DataFrame(original, columns=BOX)
            tables.append(table.assign(study=study, score=rows[:, 4].astype(float)))
    if not any(len(table) for table in tables):
        return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in DETECTIONS.columns.items()})
    every = pd.concat([table for table in tables if len(table)], ignore_index=True)
    # A box that lies wholly in the padding has no area in the study.
    return every[(every["width"] > 0) & (every["height"] > 0)][list(DETECTIONS.columns)].reset_index(drop=True)


def mirror(detections: Detections, size: int) -> Detections:
    """Detections `[n, 5]` of an image `size` pixels wide, as they lie in its left-right mirror image."""
    result = detections.copy()
    result[:, 0], result[:, 2] = size - detections[:, 2], size - detections[:, 0]
    return result


def merge_views(
    first: Detections, second: Detections, *, score_floor: float, nms_iou: float, max_detections: int
) -> Detections:
    """One set of detections from two views of the same image, both in its frame.

    Pairs, one of each view, are matched greedily from the highest overlap down to `nms_iou`: the merged box is the mean
    of both, weighted by their scores, and its score is the mean. What only one view sees keeps its box and half of its
    score, the other view having given it none. Then non-maximum suppression, floor and limit as for a single view.

    Arguments:
        first: float32 `[n, 5]`, x1, y1, x2, y2 (pixels of the resized image), score.
        second: float32 `[m, 5]`, the same.
        score_floor: detections below it are not kept.
        nms_iou: overlap above which two boxes are one finding.
        max_detections: of the image.

    Returns:
        merged: float32 `[k, 5]`, best first.
    """
    overlap = arrays.iou(first[:, :4], second[:, :4])
    merged = []
    left, right = set(range(len(first))), set(range(len(second)))
    for flat in np.argsort(-overlap, axis=None, kind="stable"):
        i, j = (int(k) for k in np.unravel_index(flat, overlap.shape))
        if overlap[i, j] <= nms_iou:
            break
        if i in left and j in right:
            left.remove(i)
            right.remove(j)
            a, b = first[i].astype(np.float64), second[j].astype(np.float64)
            box = (a[:4] * a[4] + b[:4] * b[4]) / max(a[4] + b[4], 1e-12)
            merged.append([*box, (a[4] + b[4]) / 2])
    merged += [[*first[i, :4], first[i, 4] / 2] for i in sorted(left)]
    merged += [[*second[j, :4], second[j, 4] / 2] for j in sorted(right)]
    rows = np.array(merged, np.float32).reshape(-1, 5)
    rows = rows[rows[:, 4] >= score_floor]
    return rows[arrays.non_max_suppression(rows[:, :4], rows[:, 4], nms_iou)[:max_detections]]


def best_scores(detections: pd.DataFrame, studies: Sequence[str]) -> pd.Series:
    """A detector's score of each study: that of its highest detection, 0 without one."""
    return detections.groupby("study")["score"].max().reindex(sorted(studies), fill_value=0.0)


def write_scores(out: Path, studies: Sequence[str], scores: NDArray[np.float32], cam: NDArray[np.float16]) -> None:
    """Write scores.csv and cam.npy of the classifier, rows in the order of `studies`, which must be sorted."""
    import pandas as pd

    with files.fresh_dir(out) as folder:
        SCORES.write(folder / SCORES.name, pd.DataFrame({"study": list(studies), "score": scores}))
        np.save(folder / MAPS, cam)


def _batches(
    store: Store, studies: Sequence[str], batch_size: int, title: str | None
) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    interval = 0.5 if sys.stderr.isatty() else 30.0
    with tqdm(total=len(studies), desc=title, unit="study", mininterval=interval, disable=title is None) as bar:
        for first in range(0, len(studies), batch_size):
            names = list(studies[first : first + batch_size])
            yield names, store.batch(names)
            bar.update(len(names))
