"""How `make docs` builds the site: the pages as they are, and a reference read from the code without importing it."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "airflow_provider_smartlive"
REPOSITORY = "https://github.com/airflow-provider-smartlive/airflow-provider-smartlive/blob/main"
PICTURES = "https://raw.githubusercontent.com/airflow-provider-smartlive/airflow-provider-smartlive/main"

#: What authors of DAGs and of their tests import; the rest of the package may change at any time.
PUBLIC = ("campaigns", "exceptions", "hooks", "operators", "retries", "sensors", "testing", "triggers")

project = "airflow-provider-smartlive"
author = "The maintainers of airflow-provider-smartlive"
(release,) = re.findall(r'^__version__ = "(.+)"$', (PACKAGE / "__init__.py").read_text(), re.MULTILINE)

extensions = ["myst_parser", "autoapi.extension"]
include_patterns = ["docs/*.md", "docs/*.rst", "*.md", "api/**"]
root_doc = "docs/site"
# The pages link to each other's headings as GitHub names them.
myst_heading_anchors = 6
# A block that names no language is none: Sphinx would take it for Python.
highlight_language = "none"

autoapi_dirs = [str(PACKAGE)]
autoapi_ignore = [
    f"{path}/*" if path.is_dir() else str(path)
    for path in PACKAGE.iterdir()
    if path.stem not in (*PUBLIC, "__init__")
]
autoapi_root = "api"
autoapi_options = ["members", "undoc-members", "show-inheritance", "show-module-summary"]
autoapi_add_toctree_entry = False
suppress_warnings = [
    "ref.python",  # several classes have an attribute called "bytes": an annotation may mean any of them
    "autoapi.python_import_resolution",  # what is not public is not read
]

html_theme = "furo"
html_title = f"{project} {release}"
html_show_copyright = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]


def lead_links(app: Sphinx, page: str, source: list[str]) -> None:
    """Let links to pages lead to pages of the site, and those to code and folders to the repository."""
    folder = ROOT / Path(page).parent
    if page == "README":  # its links are absolute, for PyPI
        source[0] = re.sub(rf"{REPOSITORY}/(?=\S+\.md\b)|{PICTURES}/", "", source[0])

    def target(match: re.Match[str]) -> str:
        path = (folder / match["path"]).resolve()
        if path.suffix in (".md", ".svg", ".png") or not path.exists():
            return match[0]
        return f"]({REPOSITORY}/{path.relative_to(ROOT)})"

    source[0] = re.sub(r"\]\((?P<path>(?!https?:|#)[^)\s#]+)\)", target, source[0])


def setup(app: Sphinx) -> None:
    """Register what is said above."""
    app.connect("source-read", lead_links)
