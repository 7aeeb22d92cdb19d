"""The licences of everything that `make repro` runs on, the base and the extra `pipeline`, as a table for docs/licences.md.

    python -m benchmarks.licences > docs/licences.md

Read from the packages' own metadata, in the environment that runs this. tests/test_supply.py refuses a copyleft licence
that is not explained in `EXPLAINED`.
"""

from __future__ import annotations

import re
from importlib import metadata

from packaging.requirements import Requirement

# Strong copyleft: MPL, which binds the files it covers alone, is not. Why each of these does not bind this project:
EXPLAINED = {
    "asyncssh": "offered under EPL-2.0 too, which covers its own files alone; needed by DVC alone, and imported by nothing here",
    "dulwich": "offered under Apache-2.0 too, which is what is used",
    "grandalf": "offered under EPL-1.0 too; needed by DVC alone, for `dvc dag`, and imported by nothing here",
    "pygit2": "its exception lets any program link with it; needed by DVC alone, and imported by nothing here",
}
COPYLEFT = re.compile(r"GPL|General Public", re.IGNORECASE)
# What is installed apart from the project, written by hand; stands at the end of the page.
TOOLS = """
## Tools

Of `tools.lock`, in an environment of their own, for who builds packages and the site; no code of the project imports them. The
versions are the newest of November 2026.

| package | version | licence | what for | why this one |
|---|---|---|---|---|
| `build` | 1.6.1 | MIT | wheel and sdist | the packaging authority's own |
| `cyclonedx-bom` | 7.5.0 | Apache-2.0 | `make sbom` | CycloneDX's own |
| `pip-audit` | 2.10.1 | Apache-2.0 | `make audit` | the packaging authority's own |
| `sphinx` | 9.0.4 | BSD-2-Clause | the site | a team releases it steadily; MkDocs hardly moves |
| `myst-parser` | 5.2.0 | MIT | the repository's Markdown as pages, its links checked | Executable Books' |
| `furo` | 2025.12.19 | MIT | the site's theme | small, no script of others, dark and light |

hadolint (GPL-3.0), actionlint (MIT), zizmor (MIT), check-jsonschema (Apache-2.0) and cffconvert (Apache-2.0) were run by hand, and
are needed by nothing."""
# Not in the packages' metadata; read in their sources' LICENSE files.
UNTOLD = {"huey": "MIT", "namex": "Apache-2.0", "skops": "MIT"}


def main() -> None:
    found = licences()
    print("# Licences of what the pipeline runs on\n")
    print(
        f"{len(found)} packages, by their own metadata; `python -m benchmarks.licences > docs/licences.md` renews the table.\n"
    )
    print("| package | version | licence |\n|---|---|---|")
    for name, (version, licence) in sorted(found.items()):
        note = f" ({EXPLAINED[name]})" if name in EXPLAINED else ""
        print(f"| {name} | {version} | {licence}{note} |")
    print(TOOLS)


def licences(root: str = "pneumonia", extra: str = "pipeline") -> dict[str, tuple[str, str]]:
    """Name -> (version, licence) of all that `root` requires with one of its extras, itself left out."""
    found: dict[str, tuple[str, str]] = {}
    todo, seen = [(root, frozenset({extra}))], set()
    while todo:
        name, extras = todo.pop()
        name = re.sub(r"[-_.]+", "-", name).lower()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        distribution = metadata.distribution(name)
        if name != root:
            found[name] = distribution.version, licence(distribution.metadata, name)
        for line in distribution.requires or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
                todo.append((requirement.name, frozenset(requirement.extras)))
    return found


def licence(about: metadata.PackageMetadata, name: str) -> str:
    """The licence expression; else the classifiers; else the first words of the licence's text."""
    classifiers = [each.split(" :: ")[-1] for each in about.get_all("Classifier", []) if each.startswith("License ::")]
    said = about.get("License-Expression") or "; ".join(c for c in classifiers if c != "OSI Approved")
    return said or (about.get("License") or UNTOLD.get(name, "not said")).strip().splitlines()[0][:60]


if __name__ == "__main__":
    main()
