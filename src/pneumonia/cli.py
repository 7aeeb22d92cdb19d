"""`pneumonia`: the commands beside `dvc`. Heavy packages are imported by the command that needs them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pneumonia import extras
from pneumonia.commands import annotation, evaluation, experiments, foreign, models, new_studies, node, project
from pneumonia.params import ParamsError

GROUPS = (new_studies, node, models, foreign, annotation, evaluation, experiments, project)  # as --help lists them


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status: 0 done, 1 done but something to see to, 2 wrong use or input, 130
    interrupted, 141 where whoever read the output left."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()  # while a reader that left can still be met
    except BrokenPipeError:  # `pneumonia results | head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # what a shell says of a command that a closed pipe ended
    except (ParamsError, ValueError, OSError) as error:
        print(f"pneumonia: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        print("pneumonia: out of memory; nothing was written", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        sentence = extras.explain(error)
        if sentence is None:
            raise
        print(f"pneumonia: {sentence}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("pneumonia: interrupted", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pneumonia", description=__doc__.split("\n")[0])
    parser.add_argument("--version", action="version", version=f"pneumonia {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in GROUPS:
        group.add(commands)
    return parser


def _version() -> str:
    """The version of the installed package, which pyproject.toml alone names."""
    from importlib import metadata

    try:
        return metadata.version("pneumonia")
    except metadata.PackageNotFoundError:
        return "not installed"


if __name__ == "__main__":
    sys.exit(main())
