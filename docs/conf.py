"""The site: `make docs`. Its source is the project's root, so that links are those that a reader of the repository follows."""

import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent))

import generate  # noqa: E402

generate.write(ROOT, ROOT / "docs/reference")

project = "pneumonia"
release = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
copyright = "the pneumonia pipeline's authors, MIT licence"
extensions = ["myst_parser"]
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**", "src/*/README.md", "weights/README.md"]
exclude_patterns = [".*", "build", "data", "dist", "models", "mlruns", "report", "state", "tests", "tmp"]
root_doc = "docs/index"
myst_heading_anchors = 4
myst_links_external_new_tab = True
suppress_warnings = ["misc.highlighting_failure", "myst.header"]
templates_path = ["_templates"]
html_theme = "furo"
html_title = f"pneumonia {release}"
html_additional_pages = {"index": "to_docs.html"}
html_show_sphinx = False
