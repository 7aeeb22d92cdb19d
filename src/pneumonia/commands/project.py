"""`pneumonia profile`, `params`, `verify` and `deps`: the project's own files."""

from __future__ import annotations

import argparse

from pneumonia.commands import shared
from pneumonia.params import load


def add(commands: shared.Commands) -> None:
    """Make the parsers of `profile`, `params`, `verify` and `deps`."""
    profile = commands.add_parser("profile", help="write a profile's values over params.yaml, comments kept")
    profile.add_argument("name", nargs="?", help="a file of profiles/ without .yaml; none lists them")
    profile.add_argument(
        "--check", action="store_true", help="change nothing; say whether it is applied (exit status 1 if not)"
    )
    profile.set_defaults(run=_profile)

    params = commands.add_parser("params", help="check params.yaml")
    params.set_defaults(run=_params)

    verify = commands.add_parser("verify", help="read DVC's cache: is each file what its name says?")
    verify.add_argument("--remove", action="store_true", help="delete what is damaged, so that DVC makes it again")
    verify.set_defaults(run=_verify)

    deps = commands.add_parser("deps", help="compare the code deps in dvc.yaml with what the stage scripts import")
    deps.add_argument("--write", action="store_true", help="correct dvc.yaml")
    deps.set_defaults(run=_deps)


def _profile(arguments: argparse.Namespace) -> int:
    from pneumonia.project import profiles

    if arguments.name is None:
        for name in profiles.names():
            print(f"{name}{'  (applied)' if profiles.applied(name) else ''}")
        return 0
    if arguments.check:
        difference = profiles.diff(arguments.name)
        print(difference or f"profile {arguments.name} is applied")
        return 1 if difference else 0
    print(profiles.apply(arguments.name) or f"profile {arguments.name} was applied already")
    return 0


def _params(arguments: argparse.Namespace) -> int:
    load()
    print("params.yaml is fine")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from pneumonia.project import cache

    folder = cache.folder()
    checked = cache.check(folder)
    for path, why in checked.unreadable.items():
        print(f"cannot be read: {path} ({why})")
    for path in checked.damaged:
        print(f"damaged: {path}")
    print(f"{checked.files} files of {folder} were read, {len(checked.damaged)} are not what their name says")
    if not checked.damaged or not arguments.remove:
        if checked.damaged:
            print("delete them with: pneumonia verify --remove")
        return 1 if checked.damaged or checked.unreadable else 0
    removed = cache.remove(checked.damaged)
    for path in removed.links:
        print(f"deleted with it: {path}")
    for path, why in removed.kept.items():
        print(f"cannot be deleted: {path} ({why})")
    print(f"{len(removed.files)} deleted; dvc pull fetches them again, or dvc repro makes them again")
    return 1 if removed.kept or checked.unreadable else 0


def _deps(arguments: argparse.Namespace) -> int:
    from pneumonia.project.code_deps import update

    differences = update(write=arguments.write)
    print("\n".join(differences) or "dvc.yaml names exactly what the stage scripts import")
    if differences and not arguments.write:
        print("correct it with: pneumonia deps --write")
    return 1 if differences and not arguments.write else 0
