"""What lies where a person wants results is never lost, and neither are the results."""

import os
from pathlib import Path

import pytest

from pneumonia import destination
from pneumonia.destination import RESULTS, kept_dir, kept_of_others, new_dir


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def work(path: str | Path, content: str = "x") -> None:
    with new_dir(path) as folder:
        (folder / "table").write_text(content)
        (folder / "sub").mkdir()
        (folder / "sub" / "picture").write_text(content)


@pytest.mark.parametrize(
    "path", ["new/..", "new/../", "new/../../home", ".", "thesis", "link", "link/new/..", "a/b/../.."]
)
def test_what_a_path_leads_to_is_not_replaced(tmp_path: Path, path: str):
    home = tmp_path / "home"
    (home / "thesis").mkdir(parents=True)
    (home / "thesis" / "chapter").write_text("years")
    (home / "link").symlink_to(home)
    for use in (destination.check, work):
        with pytest.raises(ValueError, match="exists and is not empty; name another --output"):
            use(f"{home}/{path}")
    assert names(home) == ["link", "thesis"]
    assert (home / "thesis" / "chapter").read_text() == "years"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("new", "new"),
        ("deep/er/new", "deep/er/new"),
        ("empty", "empty"),
        ("empty/../empty", "empty"),
        ("absent/../new", "new"),
        ("to_empty", "empty"),
        ("to_absent", "absent"),
        ("to_empty/below", "empty/below"),
    ],
)
def test_what_passes_the_check_takes_the_results(tmp_path: Path, path: str, place: str):
    (tmp_path / "empty").mkdir(mode=0o711)
    (tmp_path / "to_empty").symlink_to("empty")
    (tmp_path / "to_absent").symlink_to("absent")
    destination.check(f"{tmp_path}/{path}")
    work(f"{tmp_path}/{path}")
    assert names(tmp_path / place) == ["sub", "table"]
    assert (tmp_path / place / "sub" / "picture").read_text() == "x"
    assert (tmp_path / "empty").stat().st_mode & 0o777 == 0o711
    assert (tmp_path / "to_empty").is_symlink()


def test_an_empty_folder_is_never_renamed_over_as_a_mount_point_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "mount").mkdir()
    real = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if Path(target) == tmp_path / "mount":
            raise OSError(16, "Device or resource busy")
        return real(self, target)

    monkeypatch.setattr(Path, "rename", rename)
    work(tmp_path / "mount")
    assert names(tmp_path / "mount") == ["sub", "table"]


@pytest.mark.parametrize("kind", ["file", "circle", "below a file"])
def test_what_is_no_folder_is_refused_before_the_work(tmp_path: Path, kind: str):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises((ValueError, OSError)), new_dir(tmp_path / ("file/x" if kind == "below a file" else kind)):
        pytest.fail("the work began")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("existed", [False, True])
def test_what_comes_during_the_work_stays_and_so_do_the_results(tmp_path: Path, existed: bool):
    target = tmp_path / "out"
    if existed:
        target.mkdir()
    with pytest.raises(ValueError, match="Directory not empty; they are kept in") as caught, new_dir(target) as folder:  # noqa: PT012
        (folder / "table").write_text("results")
        target.mkdir(exist_ok=True)
        (target / "table").write_text("mine")
    kept = Path(str(caught.value).split("kept in ")[1])
    assert (target / "table").read_text() == "mine"
    assert (kept / "table").read_text() == "results"
    (target / "table").unlink()
    if not existed:  # otherwise they are kept inside it
        work(target)
    assert (kept / "table").read_text() == "results"  # no later run sweeps it


def test_a_file_that_comes_during_the_work_stays(tmp_path: Path):
    with pytest.raises(ValueError, match="Not a directory; they are kept in"), new_dir(tmp_path / "out"):
        (tmp_path / "out").write_text("mine")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize("existed", [False, True])
def test_a_second_run_is_refused_and_takes_nothing_from_the_first(tmp_path: Path, existed: bool):
    target = tmp_path / "out"
    if existed:
        target.mkdir()
    with new_dir(target) as folder:
        (folder / "table").write_text("first")
        with pytest.raises(ValueError, match="another run is at work on this --output, in "):
            work(target, "second")
    assert (target / "table").read_text() == "first"
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("existed", [False, True])
def test_an_error_leaves_nothing(tmp_path: Path, existed: bool):
    target = tmp_path / "out"
    if existed:
        target.mkdir()
    with pytest.raises(RuntimeError), new_dir(target) as folder:  # noqa: PT012
        (folder / "half").write_text("x")
        raise RuntimeError
    assert names(tmp_path) == (["out"] if existed else [])
    assert not existed or not names(target)


@pytest.mark.parametrize("existed", [False, True])
def test_what_the_killed_left_goes_first_and_nothing_like_it(tmp_path: Path, existed: bool):
    target = tmp_path / "out"
    if existed:
        target.mkdir()
    home = target if existed else tmp_path
    (home / ".out.abcd1234.tmp").mkdir()
    (home / ".out.abcd1234.tmp" / "half").write_text("x")
    if not existed:
        for other in (".out.notes.tmp", ".outer.abcd1234.tmp", "out.abcd1234"):
            (home / other).mkdir()
    work(target)
    assert names(target) == ["sub", "table"]
    assert names(tmp_path) == sorted(
        ["out"] if existed else ["out", ".out.notes.tmp", ".outer.abcd1234.tmp", "out.abcd1234"]
    )


def test_what_was_not_moved_yet_is_not_swept(tmp_path: Path):
    rest = tmp_path / "out" / ".out.abcd1234.tmp"
    rest.mkdir(parents=True)
    (rest / "picture").write_text("x")
    (tmp_path / "out" / "table").write_text("x")
    with pytest.raises(ValueError, match="not empty"):
        destination.check(tmp_path / "out")
    assert names(rest) == ["picture"]


def test_an_interrupt_at_the_end_keeps_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*arguments: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(destination, "_deliver", interrupt)
        with pytest.raises(KeyboardInterrupt):
            work(tmp_path / "out")
    work(tmp_path / "out")
    (kept,) = (path for path in tmp_path.iterdir() if path.name != "out")
    assert kept.name.startswith("out.")
    assert names(kept) == ["sub", "table"]


def test_a_new_folder_has_the_mode_of_others(tmp_path: Path):
    old = os.umask(0o027)
    try:
        work(tmp_path / "out")
    finally:
        os.umask(old)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750


KEY, OTHER = "0123456789abcdef", "fedcba9876543210"


def kept_work(path: Path, *, fail: bool, key: str = KEY) -> None:
    with kept_dir(path, key) as folder:
        (folder / "half").write_text("hours of work")
        if fail:
            raise KeyboardInterrupt
        (folder / RESULTS / "table").write_text("x")


@pytest.mark.parametrize("there", [False, True])
def test_work_that_ends_early_is_kept_for_the_next_run(tmp_path: Path, there: bool):
    out = tmp_path / "out"
    if there:
        out.mkdir(mode=0o711)
    home = out if there else tmp_path
    with pytest.raises(KeyboardInterrupt):
        kept_work(out, fail=True)
    with pytest.raises(KeyboardInterrupt):
        kept_work(out, fail=True, key=OTHER)
    kept = [f".out.{KEY}.kept", f".out.{OTHER}.kept"]
    assert [name for name in names(home) if name.startswith(".")] == kept
    assert kept_of_others(out, KEY) == [home / kept[1]]
    destination.check(out)  # is free all the same
    with kept_dir(out, KEY) as folder:
        assert (folder / "half").read_text() == "hours of work"
        with pytest.raises(ValueError, match=r"another run is at work on this --output, in .*\.kept"):
            kept_work(out, fail=False)
        (folder / RESULTS / "table").write_text("x")
    assert (out / "table").read_text() == "x"
    assert names(home) == ([kept[1], "table"] if there else [kept[1], "out"])  # another work is not ours to remove
    if there:
        assert out.stat().st_mode & 0o777 == 0o711


def test_kept_work_in_which_there_is_none_goes(tmp_path: Path):
    with pytest.raises(RuntimeError), kept_dir(tmp_path / "out", KEY):
        raise RuntimeError
    assert names(tmp_path) == []


def test_results_whose_place_was_taken_stay_where_they_are(tmp_path: Path):
    def taken() -> None:
        with kept_dir(tmp_path / "out", KEY) as folder:
            (folder / RESULTS / "table").write_text("x")
            (tmp_path / "out").mkdir()
            (tmp_path / "out/mine").write_text("y")

    with pytest.raises(ValueError, match=r"out cannot take the results any more: .*; they are kept in .*results"):
        taken()
    assert (tmp_path / f".out.{KEY}.kept" / RESULTS / "table").read_text() == "x"
    assert names(tmp_path / "out") == ["mine"]
