"""`pneumonia send`, `take` and `worst`: labels to an annotation tool and back, and where to look."""

from __future__ import annotations

import argparse
from pathlib import Path

from pneumonia import destination
from pneumonia.commands import shared
from pneumonia.params import load
from pneumonia.schema import raw
from pneumonia.schema.models import ENSEMBLE
from pneumonia.schema.results import EVALUATION

ANNOTATION_TOOLS = ("label_studio", "cvat", "coco")


def add(commands: shared.Commands) -> None:
    """Make the parsers of `send`, `take` and `worst`."""
    send = commands.add_parser("send", help="labels and findings to an annotation tool, with pictures")
    send.add_argument("tool", choices=ANNOTATION_TOOLS, help="whose form")
    send.add_argument("--output", type=shared.path, required=True, metavar="DIR", help="must not exist or be empty")
    send.add_argument(
        "--studies",
        type=shared.path,
        metavar="FILE",
        help="a CSV with a column study, as of `pneumonia worst` (default: the held-back)",
    )
    send.add_argument("--images", default="", metavar="PREFIX", help="what a picture's address starts with in the tool")
    send.add_argument("--no-findings", dest="findings", action="store_false", help="the labels alone")
    send.set_defaults(run=_send)

    take = commands.add_parser("take", help="corrected boxes back from an annotation tool, as new label tables")
    take.add_argument("tool", choices=ANNOTATION_TOOLS, help="whose form")
    take.add_argument("file", type=shared.path, metavar="FILE", help="the tool's export")
    take.add_argument("--output", type=shared.path, required=True, metavar="DIR", help="must not exist or be empty")
    take.add_argument(
        "--cleared", choices=("normal", "not_normal"), default="", help="what a study is that has lost its last box"
    )
    take.set_defaults(run=_take)

    worst = commands.add_parser("worst", help="where labels and models disagree most, with pictures")
    worst.add_argument("--output", type=shared.path, required=True, metavar="DIR", help="must not exist or be empty")
    worst.add_argument("--limit", type=int, default=50, metavar="N", help="studies (default: 50)")
    worst.add_argument(
        "--crossval",
        type=shared.path,
        metavar="DIR",
        help="out-of-fold predictions of `pneumonia crossval` (default: the held-back)",
    )
    worst.set_defaults(run=_worst)


def _send(arguments: argparse.Namespace) -> int:
    from pneumonia.annotation import send
    from pneumonia.archive import StudyArchive
    from pneumonia.evaluation.inputs import read
    from pneumonia.files import read_json
    from pneumonia.sources.labels import read_table

    window = load().images.window.values()
    destination.check(arguments.output)
    own = read(".", [ENSEMBLE])
    held_back = own.split.loc[own.split["subset"] != "train", "study"]
    listed = read_table(arguments.studies, ["study"])["study"] if arguments.studies else sorted(held_back)
    chosen = list(dict.fromkeys(listed))
    detections = own.predictions[ENSEMBLE].detections
    assert detections is not None
    threshold = float(read_json(EVALUATION)[ENSEMBLE]["box_threshold"])
    shown = detections if arguments.findings else detections.iloc[:0]
    sent = send.gather(own.studies, own.boxes, shown, chosen, threshold=threshold)
    with destination.new_dir(arguments.output) as folder:
        archive = StudyArchive(Path(raw.FOLDER) / raw.IMAGES)
        send.write(arguments.tool, folder, sent, archive, window=window, images=arguments.images, model=ENSEMBLE)
    boxes = sum(len(each.truths) for each in sent), sum(len(each.suggested) for each in sent)
    print(f"{len(sent)} studies, {boxes[0]} labelled boxes, {boxes[1]} suggested, in {arguments.output}")
    return 0


def _take(arguments: argparse.Namespace) -> int:
    from pneumonia.annotation import corrected, send
    from pneumonia.files import write_csv
    from pneumonia.schema.data import BOXES, STUDIES
    from pneumonia.schema.table import BOX
    from pneumonia.sources.local import CLASSES, LABELS

    destination.check(arguments.output)
    studies, before = STUDIES.read(columns=("study", "rows", "columns")), corrected.boxes_by_study(BOXES.read())
    sizes = {study: (int(rows), int(columns)) for study, rows, columns in studies.itertuples(index=False)}
    reviewed = send.TOOLS[arguments.tool].read(arguments.file, sizes)
    found = corrected.compare(before, reviewed.boxes)
    rows, named = (corrected.read_table_bytes(Path(raw.FOLDER) / name) for name in (raw.LABELS, raw.CLASSES))
    labels, classes = corrected.labels(rows, named, reviewed.boxes, found, arguments.cleared)
    difference = corrected.table(found)
    with destination.new_dir(arguments.output) as folder:
        (folder / LABELS).write_text(labels, encoding="utf-8")
        (folder / CLASSES).write_text(classes, encoding="utf-8")
        write_csv(
            folder / "diff.csv", difference, dict.fromkeys([*BOX, *(f"new_{side}" for side in BOX)], 2) | {"iou": 4}
        )
    count = ", ".join(f"{int((difference['change'] == kind).sum())} {kind}" for kind in corrected.CHANGES)
    for note in reviewed.notes:
        print(note)
    print(f"{len(sizes) - len(reviewed.boxes)} studies are not in the file, or not looked at, and stay as they are")
    print(f"{len(reviewed.boxes)} studies looked at, {len(found)} changed; boxes: {count}; in {arguments.output}")
    return 0


def _worst(arguments: argparse.Namespace) -> int:
    from pneumonia.annotation import send
    from pneumonia.annotation.worst import WORST, worst
    from pneumonia.archive import StudyArchive
    from pneumonia.evaluation.inputs import Predictions, read
    from pneumonia.files import read_json
    from pneumonia.prediction.tables import read_detections, read_scores

    if arguments.limit < 1:
        raise ValueError(f"--limit must be at least 1, got {arguments.limit}")
    window = load().images.window.values()
    destination.check(arguments.output)
    own = read(".", [ENSEMBLE])
    said, threshold = own.predictions[ENSEMBLE], read_json(EVALUATION)[ENSEMBLE]["box_threshold"]
    looked_at = {*own.split.loc[own.split["subset"] != "train", "study"]}
    if arguments.crossval:
        folder = arguments.crossval / "predictions" / ENSEMBLE
        said = Predictions(read_scores(folder), read_detections(folder))
        looked_at = {*said.scores.index}
    assert said.detections is not None
    studies = own.studies[own.studies["study"].isin(looked_at)].set_index("study")
    rows = worst(studies["target"], said.scores, own.boxes, said.detections, box_threshold=float(threshold))
    doubtful = rows["study"].nunique()
    rows = rows[rows["rank"] <= arguments.limit]
    with destination.new_dir(arguments.output) as folder:
        WORST.write(folder / WORST.name, rows)
        archive = StudyArchive(Path(raw.FOLDER) / raw.IMAGES)
        shown = said.detections[said.detections["score"] >= float(threshold)]
        for rank, study in rows[["rank", "study"]].drop_duplicates().itertuples(index=False):
            picture = send.overlaid(archive, study, own.boxes, shown, window)
            (folder / f"{rank:04d}-{study}.png").write_bytes(picture)
    print(
        f"{doubtful} of {len(studies)} studies are in doubt, {rows['study'].nunique()} of them in {arguments.output}; "
        f"look again: pneumonia send cvat --studies {arguments.output / WORST.name} --output DIR"
    )
    return 0
