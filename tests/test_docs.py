"""The documentation holds: links and anchors lead somewhere, commands and flags exist, the reference leaves nothing out."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import yaml
from tests.places import ROOT

from pneumonia.cli import _parser
from pneumonia.params import Params

PAGES = sorted(
    {
        path
        for name in ("*.md", "docs/*.md", "docs/howto/*.md", "src/*/README.md", "weights/README.md")
        for path in ROOT.glob(name)
    }
)
IDS = [path.relative_to(ROOT).as_posix() for path in PAGES]


def load():
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load()


def prose(text: str) -> str:
    """A page without its blocks of code and its spans of code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def generated(name: str) -> str | None:
    """A page of docs/reference, which is written when the site is built."""
    if name.startswith("api-"):
        return generate.api(ROOT / "src" / name.removeprefix("api-"))
    return {"params": lambda: generate.params(ROOT), "commands": generate.commands, "tables": generate.tables}[name]()


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_to_files_and_headings(page: Path):
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        at = (page.parent / path).resolve() if path else page
        if at.parent == ROOT / "docs/reference":
            text = generated(at.stem)
        elif not at.exists():
            wrong.append(target)
            continue
        else:
            text = at.read_text() if at.suffix == ".md" else ""
        if anchor and anchor not in anchors(text):
            wrong.append(target)
    assert wrong == []


def commands(text: str) -> list[str]:
    """The lines of a page's blocks of code that call `pneumonia`, without comment and prompt; lines that go on are one."""
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    parts = [part for line in lines for part in re.split(r"&& |\|\| |; ", line)]
    return [part.strip().removeprefix("$ ") for part in parts if re.match(r"(\$ )?pneumonia ", part.strip())]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_commands_are_ones_that_the_program_takes(page: Path, capsys: pytest.CaptureFixture[str]):
    wrong = []
    for line in commands(page.read_text()):
        words = shlex.split(re.split(r" \| | >", line)[0], comments=True)
        words = [word for word in words[1:] if word != "&"]
        try:
            _parser().parse_args(words)
        except SystemExit as ended:
            if ended.code:
                wrong.append(f"{line}: {capsys.readouterr().err.splitlines()[-1]}")
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_flags_named_in_a_sentence_are_flags_of_that_command(page: Path):
    known = {words: {flag for action in parser._actions for flag in action.option_strings}
             for words, parser, _ in generate.parsers(_parser())}  # fmt: skip
    wrong = []
    for span in re.findall(r"`(pneumonia [a-z][^`\n]*)`", page.read_text()):
        command = next(
            (words for words in sorted(known, key=len, reverse=True) if f"{span} ".startswith(f"{words} ")), None
        )
        if command is None or not set(re.findall(r"--[a-z][\w-]*", span)) <= known[command] | {"--help"}:
            wrong.append(span)
    assert [span for span in wrong if not re.match(r"pneumonia COMMAND|pneumonia \.\.\.", span)] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_values_that_pages_set_are_params(page: Path):
    keys = {key for key, _ in generate.leaves(Params)}
    said = re.findall(r"-S '?([a-z_]+(?:\.[a-z_0-9]+)+)=", page.read_text())
    assert [key for key in said if key not in keys] == []


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_targets_of_make_are_there(page: Path):
    targets = set(re.findall(r"^([\w.]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    blocks = "\n".join(re.findall(r"^```(?:sh|console)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))
    said = re.findall(r"^make (\w+)", blocks, re.MULTILINE) + re.findall(r"`make (\w+)`", page.read_text())
    assert sorted(set(said) - targets) == []


def test_the_reference_has_every_value_with_its_effect_and_range():
    values = yaml.safe_load((ROOT / "params.yaml").read_text())

    def flat(inner: dict, above: str = "") -> set[str]:
        found: set[str] = set()
        for name, value in inner.items():
            found |= flat(value, f"{above}{name}.") if isinstance(value, dict) else {above + name}
        return found

    rows = {}
    for line in generate.params(ROOT).splitlines():
        if line.startswith("| `"):
            key, default, takes, effect, again = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
            rows[key.strip("`")] = default, takes, effect, again
    assert set(rows) == flat(values)
    assert [key for key, row in rows.items() if not all(row)] == []
    assert rows["classifier.dropout"][:3] == ("`0.2`", "number, at least 0, below 1", "before the last layer")
    assert rows["classifier.dropout"][3] == "train_classifier, report"
    assert rows["maskrcnn.augmentation.rotation"][2] == "degrees, up to, either way"  # its namesake's
    assert rows["ensemble.gate.mode"][:2] == ("`multiply`", "`none` \\| `threshold` \\| `multiply`")
    assert rows["ensemble.weights.efficientdet"][:3] == ("`1.0`", "number, at least 0", "trust in each detector")
    assert rows["fetch.synthetic.size"] == (
        "`1024`",
        "whole number, at least 64, at most 4096",
        "pixels, height and width of a study",
        "fetch",
    )
    assert rows["maskrcnn.anchors.scales"][1] == "`auto`, or list of: number, above 0, 1 to 5 of them"
    assert rows["tracking.enabled"][3] == "nothing"


def test_the_reference_has_every_command_and_table():
    text = generate.commands()
    assert [words for words, _, _ in generate.parsers(_parser()) if f"\n## {words}\n" not in text] == []
    assert "| `--threshold THRESHOLD` | score from which a box counts" in text
    page = generate.tables()
    for _, table in generate.named_tables():
        assert f"## `{table.path}`" in page
    assert "| `age` | float | 1 |" in page


def test_docstrings_become_pages_without_being_imported():
    text = generate.api(ROOT / "src/keraskit")
    assert "## keraskit.boxes.arrays" in text
    assert "**Arguments**" in text


def test_pictures_are_small():
    assert {p.name: p.stat().st_size for p in (ROOT / "docs/images").iterdir() if p.stat().st_size > 200_000} == {}


def test_the_navigation_has_every_page():
    index = (ROOT / "docs/index.md").read_text()
    listed = {
        word for block in re.findall(r"^```\{toctree\}\n(.*?)^```$", index, re.M | re.S) for word in block.split()
    }
    pages = {
        path.relative_to(ROOT / "docs").with_suffix("").as_posix()
        for path in PAGES
        if path.is_relative_to(ROOT / "docs")
    }
    assert pages - listed == {"index"}


@pytest.mark.parametrize(
    ("heading", "anchor"), [("# The `x` of (Y), and 2.1", "the-x-of-y-and-21"), ("## A-b  c", "a-b--c")]
)
def test_anchors_worked_out_by_hand(heading: str, anchor: str):
    assert anchors(heading) == {anchor}
