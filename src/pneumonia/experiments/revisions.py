"""Files of the pipeline as another revision has them: read through DVC, without touching the workspace."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

WORKSPACE = "workspace"


@contextmanager
def files_of(revision: str, paths: Sequence[str], root: str | Path = ".") -> Iterator[Path]:
    """Yield a folder that holds `paths` as `revision` has them; it is gone afterwards.

    Arguments:
        revision: a commit, branch, tag or the name of a DVC experiment; `workspace`: the files as they lie in `root`,
            which is the folder then.
        paths: relative to `root`, the project's root; outs of DVC or files of git. Outs come from DVC's cache or, where
            they are not there, from its default remote.

    Raises:
        ValueError: the revision is unknown, it has no such file, or an out cannot be had.
    """
    if revision == WORKSPACE:
        for path in paths:
            if not (Path(root) / path).is_file():
                raise ValueError(f"{path} is not in the workspace: run `dvc repro evaluate` or `dvc checkout` first")
        yield Path(root)
        return
    with tempfile.TemporaryDirectory() as folder:
        _copy(revision, paths, Path(root), Path(folder))
        yield Path(folder)


def _copy(revision: str, paths: Sequence[str], root: Path, target: Path) -> None:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import RevError, SCMError, resolve_rev

    try:
        with Repo(str(root)) as repo:
            commit = resolve_rev(repo.scm, revision)
            inside = root.resolve().relative_to(repo.root_dir)
            # A revision older than the remote's entry in .dvc/config is looked for in today's remote.
            default = repo.config["core"].get("remote")
            config = {"core": {"remote": default}, "remote": repo.config["remote"]} if default else {}
    except NotDvcRepoError:
        raise ValueError(f"{root.resolve()} is not in a DVC repository: run this from the project's root") from None
    except (RevError, SCMError):
        raise ValueError(
            f"revision {revision!r} is neither a commit, branch, tag nor experiment: see `git log` and `dvc exp show`"
        ) from None
    files = DVCFileSystem(repo=str(root), rev=commit, config=config)
    for path in paths:
        name = inside / path
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        try:
            files.get_file(name.as_posix(), str(target / path))
        except Exception as error:
            known = any(
                files.exists(place.as_posix()) and files.isdvc(place.as_posix()) for place in (name, *name.parents)
            )
            problem = (
                "is neither in DVC's cache nor in its remote: `dvc fetch` it, or run `dvc repro` at that revision"
                if known
                else "does not exist: was the pipeline run there, and dvc.lock committed?"
            )
            raise ValueError(f"{path} of {revision} ({commit[:7]}) {problem} ({type(error).__name__})") from error
