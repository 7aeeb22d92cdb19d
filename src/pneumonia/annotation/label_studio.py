"""Label Studio's JSON tasks (labelstud.io/guide/task_format, /guide/predictions): rectangles in per cent of the image, from
the top left corner. The labels are a task's annotation, a model's boxes its prediction, which shows them and counts
for nothing until somebody takes them over.

What comes back is Label Studio's export as "JSON". A task without a submitted annotation was not looked at.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pneumonia.annotation.marks import TRUTH, Box, Reviewed, Sent, Sizes, known, put

NAME = "tasks.json"
CONFIG = "label_config.xml"
CONTROL, IMAGE = "label", "image"  # the names of the two tags of the configuration
LABELING = f"""<View>
  <Image name="{IMAGE}" value="$image" zoom="true" zoomControl="true" brightnessControl="true" contrastControl="true"/>
  <RectangleLabels name="{CONTROL}" toName="{IMAGE}" canRotate="false">
    <Label value="{TRUTH}" background="#40dc6e"/>
  </RectangleLabels>
</View>
"""
_SHAPE = 0.005  # by how much the shape of the image that was annotated may differ, relative


def write(folder: Path, studies: Iterable[Sent], images: str, model: str) -> None:
    """Write the tasks and the labeling configuration into `folder`.

    Arguments:
        studies: in the order of the tasks.
        images: what the address of a picture starts with.
        model: what made the suggestions, in words.
    """
    tasks = [_task(study, images, model) for study in studies]
    (folder / NAME).write_text(json.dumps(tasks, indent=1) + "\n", encoding="utf-8")
    (folder / CONFIG).write_text(LABELING, encoding="utf-8")


def read(path: Path, sizes: Sizes) -> Reviewed:
    """The boxes of an export.

    Raises:
        ValueError: it is none, or has what is no upright box of an opacity; it names task and study.
    """
    try:
        tasks = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise ValueError(f"{path}: wanted a list of tasks, as Label Studio exports them as JSON")
    reviewed, unseen = Reviewed(), 0
    for number, task in enumerate(tasks):
        where = f"{path}: task {task.get('id', number)}"
        data = task.get("data")
        study = data.get("study") if isinstance(data, dict) else None
        if not isinstance(study, str):
            raise ValueError(f"{where}: data.study is missing; export the tasks as they were sent")
        size = known(study, sizes, where)
        done = [each for each in task.get("annotations") or () if not each.get("was_cancelled")]
        if len(done) > 1:
            raise ValueError(f"{where} (study {study}) has {len(done)} annotations; keep the one that counts")
        if not done:
            unseen += 1
            continue
        put(
            reviewed,
            study,
            [_box(item, size, f"{where} (study {study})") for item in done[0].get("result") or ()],
            where,
        )
    if unseen:
        reviewed.notes.append(f"{unseen} tasks have no submitted annotation and stay as they are")
    return reviewed


def _task(sent: Sent, images: str, model: str) -> dict[str, Any]:
    truths = [_result(sent, number, box) for number, box in enumerate(sent.truths, 1)]
    guesses = [
        _result(sent, number, box, score) for number, (box, score) in enumerate(sent.suggested, len(sent.truths) + 1)
    ]
    task: dict[str, Any] = {
        "data": {"image": f"{images}{sent.image}", "study": sent.study},
        "annotations": [{"result": truths}],
    }
    if guesses:
        best = max(score for _, score in sent.suggested)
        task["predictions"] = [{"model_version": model, "score": best, "result": guesses}]
    return task


def _result(sent: Sent, number: int, box: Box, score: float | None = None) -> dict[str, Any]:
    x, y, width, height = box
    result = {
        "id": f"{sent.study}-{number}",
        "from_name": CONTROL,
        "to_name": IMAGE,
        "type": "rectanglelabels",
        "original_width": sent.columns,
        "original_height": sent.rows,
        "image_rotation": 0,
        "value": {
            "x": 100 * x / sent.columns,
            "y": 100 * y / sent.rows,
            "width": 100 * width / sent.columns,
            "height": 100 * height / sent.rows,
            "rotation": 0,
            "rectanglelabels": [TRUTH],
        },
    }
    return result if score is None else result | {"score": score}


def _box(item: Mapping[str, Any], size: tuple[int, int], where: str) -> Box:
    """A region as a box in pixels."""
    kind, value = item.get("type"), item.get("value")
    if kind != "rectanglelabels" or not isinstance(value, dict):
        raise ValueError(
            f"{where}: a region is of type {kind!r}; only upright rectangles are boxes: redraw or delete it"
        )
    labels = value.get("rectanglelabels")
    if labels != [TRUTH]:
        raise ValueError(f"{where}: a rectangle is labelled {labels}; wanted {[TRUTH]}: relabel or delete it")
    if value.get("rotation") or item.get("image_rotation"):
        raise ValueError(f"{where}: a rectangle or its image is turned; boxes are upright: redraw it")
    rows, columns = size
    wide, high = item.get("original_width"), item.get("original_height")
    if wide and high and abs(wide / high * rows / columns - 1) > _SHAPE:
        raise ValueError(f"{where}: the image was {wide} x {high}, ours is {columns} x {rows}: another image")
    sides: list[Any] = [value.get(name) for name in ("x", "y", "width", "height")]
    numbers = [float(side) for side in sides if type(side) in (int, float) and math.isfinite(side)]
    if len(numbers) != len(sides):
        raise ValueError(f"{where}: wanted numbers for x, y, width, height, got {sides}")
    x, y, width, height = numbers
    return x * columns / 100, y * rows / 100, width * columns / 100, height * rows / 100
