"""Damaged and malicious studies through clean and `pneumonia predict`, by hand:

    python -m benchmarks.fuzz --seed 1 --studies 10000
    python -m benchmarks.fuzz --seed 2 --studies 500 --models models

Without `--models` only the half of predict runs that reads, windows and resizes; the other half never sees a file. Each
zip of 500 studies also holds members that attack whoever unpacks it. For each zip it checks that nothing crashed or took
longer than the limit, that no file appeared outside the output, and that every study is used or listed once with its
reason; at the end it prints what became of each kind and the peak memory of a process. Real files are damaged too where
../shared/dicom lies beside the project.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import shutil
import tempfile
import time
import zipfile
from collections import Counter
from functools import partial
from pathlib import Path

import pandas as pd
from tests.hostile import mutants, write_hostile_zip

from pneumonia import params
from pneumonia.data.clean import clean
from pneumonia.reading_room.ensemble import Batch
from pneumonia.reading_room.inputs import Inputs
from pneumonia.reading_room.objects.findings import Algorithm
from pneumonia.reading_room.predict import predict_new
from pneumonia.reading_room.reader import Reader
from pneumonia.rejection import StudyError

BATCH = 500
SECONDS = 600  # for a zip; more is a hang
UID = b"1.2.3\0"  # of the studies of tests.hostile
OUTSIDE = Path("/tmp/pneumonia-x.dcm")  # where one of the members would like to be


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--models", type=Path, help="trained models, for the whole of predict")
    arguments = parser.parse_args()
    real = [path.read_bytes() for path in sorted(Path("../shared/dicom").glob("rsna-*.dcm"))]
    outcomes: Counter[tuple[str, str, str]] = Counter()
    drawn = enumerate(mutants(arguments.seed, arguments.studies, real))
    seconds: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        for start in range(0, arguments.studies, BATCH):
            batch = [next(drawn) for _ in range(min(BATCH, arguments.studies - start))]
            kinds = {f"study{number:06d}": kind for number, (kind, _) in batch}
            files = {f"study{number:06d}": _renamed(data, number) for number, (_, data) in batch}
            faulthandler.dump_traceback_later(SECONDS, exit=True)
            began = time.monotonic()
            for stage, reasons in _run(Path(name), files, arguments.seed + start, arguments.models).items():
                outcomes.update((stage, kind, reasons.get(study, "used")) for study, kind in kinds.items())
                seconds[stage] += reasons.pop("", 0)
            faulthandler.cancel_dump_traceback_later()
            print(
                f"{start + len(batch)} studies, {time.monotonic() - began:.0f} s for the last {len(batch)}", flush=True
            )
    table = pd.Series(outcomes).unstack(fill_value=0)
    print(table.to_string())
    print(table.groupby(level=0).sum().to_string())
    own, workers = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"peak memory: {own:.0f} MB in this process, {workers:.0f} MB in a worker; seconds: {dict(seconds)}")


def _run(root: Path, files: dict[str, bytes], seed: int, models: Path | None) -> dict[str, dict[str, object]]:
    """For each stage: id -> reason of the studies it did not use, and the seconds it took under ''."""
    shutil.rmtree(root / "raw", ignore_errors=True)
    shutil.rmtree(root / "out", ignore_errors=True)
    raw, out = root / "raw", root / "out"
    raw.mkdir()
    attacks = write_hostile_zip(raw / "images.zip", files, seed)
    (raw / "labels.csv").write_text("patientId,x,y,width,height,Target\n" + "".join(f"{s},,,,,0\n" for s in files))
    (raw / "classes.csv").write_text("patientId,class\n" + "".join(f"{s},Normal\n" for s in files))
    (raw / "persons.csv").write_text("study,person\n")
    before = _files(root)
    result: dict[str, dict[str, object]] = {}

    began = time.monotonic()
    clean(raw, out / "clean", min_box_side=16, max_age=110, window=params.load().images.window.values())
    rejected = pd.read_csv(out / "clean" / "rejected.csv", dtype=str)
    kept = pd.read_csv(out / "clean" / "studies.csv", dtype=str)["study"]
    _check(files, attacks, kept, rejected["study"], rejected["reason"])
    result["clean"] = {**rejected.set_index("study")["reason"].to_dict(), "": time.monotonic() - began}

    began = time.monotonic()
    reasons = _read(raw / "images.zip") if models is None else _predict(raw / "images.zip", out / "predict", models)
    with zipfile.ZipFile(raw / "images.zip") as archive:
        assert len(reasons) == len(archive.infolist()), "a member is lost, or listed twice"
    failed = pd.Series({Path(path).stem: why for path, why in reasons.items() if path.startswith("images/") and why})
    assert len([path for path in reasons if path.startswith("images/")]) == len(files)
    result["predict"] = {
        **failed.str.replace(r"(a copy) of .*|:.*", r"\1", regex=True).to_dict(),
        "": time.monotonic() - began,
    }

    outside = {path for path in _files(root) - before if out not in (path, *path.parents)}
    assert not outside, f"files outside the output: {outside}"
    assert not OUTSIDE.exists(), OUTSIDE
    return result


def _read(archive: Path) -> dict[str, str]:
    """What `predict_new` does before a model sees a study: path -> the reason why it is not used, empty where it is."""
    inputs = Inputs(archive, unique=False)
    window = params.load().images.window.values()
    reader = Reader(predict=_none, window=window, threshold=0.3, max_boxes=1, algorithm=Algorithm("", "", ""))
    said = {entry.path: entry.reason for entry in inputs.entries}
    for entry in inputs.studies():
        try:
            own = reader.read(inputs.read(entry), entry.key)
        except StudyError as error:
            said[entry.path] = str(error)
        else:
            assert Batch(256, {entry.key: own}).batch([entry.key]).shape == (1, 256, 256)
    return said


def _none(_: object) -> tuple[pd.DataFrame, pd.Series]:
    raise AssertionError("no models here")


def _predict(archive: Path, out: Path, models: Path) -> dict[str, str]:
    """The same by the whole of `predict_new`."""
    p = params.load()
    load = partial(
        Reader.load,
        models,
        names=p.answering,
        window=p.images.window.values(),
        predict=p.predict.values(),
        ensemble=p.ensemble.values(),
        threshold=0.3,
        max_boxes=p.submission.max_boxes,
    )
    predict_new(archive, out, load, batch_size=p.predict.batch_size, limit=None, overlays=True)
    rows = pd.read_csv(out / "studies.csv", dtype=str, keep_default_na=False)
    used = pd.read_csv(out / "submission.csv", dtype=str)["patientId"]
    assert sorted(used) == sorted(rows.loc[rows["status"] == "results", "study"]), "the tables differ"
    assert (rows["reason"].ne("") == rows["status"].ne("results")).all(), "no reason, or one too many"
    return dict(zip(rows["path"], rows["reason"], strict=True))


def _check(files: dict[str, bytes], attacks: set[str], used: pd.Series, listed: pd.Series, reasons: pd.Series) -> None:
    """Every study is used or listed, once, with a reason; so is every attack, but it is never used."""
    assert not {*used} & {*listed}, "both used and rejected"
    assert used.is_unique, "used twice"
    assert listed.is_unique, "listed twice"
    assert reasons.str.len().min() > 0, "a reason is empty"
    assert {*used, *listed} == {*files} | attacks, {*used, *listed} ^ ({*files} | attacks)
    assert not {*used} & attacks, {*used} & attacks


def _renamed(data: bytes, number: int) -> bytes:
    """The same file as an image of its own: mutants are made of few studies, and two images of one UID are not read."""
    return data.replace(UID, b"1.%04d" % (number % 10_000))


def _files(root: Path) -> set[Path]:
    return set(root.rglob("*"))


if __name__ == "__main__":
    main()
