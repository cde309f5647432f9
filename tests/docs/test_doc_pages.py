"""The pages hang together: links lead somewhere, quoted code is the code, examples are good DAGs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LINKING = [
    *PAGES,
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "CODE_OF_CONDUCT.md",
]

#: Pages whose Python is either quoted or run here; the others have tests of their own beside what they describe.
WITH_CODE = [
    ROOT / "README.md",
    *(
        DOCS / name
        for name in ("operators.md", "rtc.md", "architecture.md", "campaigns.md", "troubleshooting.md")
    ),
]

#: Where GitHub shows files of the repository: as pages, and as they are.
ON_GITHUB = re.compile(
    r"https://(?:github\.com|raw\.githubusercontent\.com)/airflow-provider-smartlive/airflow-provider-smartlive/(?:blob/)?main/"
)

_FENCE = re.compile(r"(?:<!-- quote: (?P<file>\S+) -->\n)?```(?:python|yaml)\n(?P<code>.*?)```", re.DOTALL)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def without_code(page: Path) -> str:
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page, as GitHub makes them of its headings."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links_of(page: Path) -> list[tuple[str, str]]:
    """Return where a page links to: in its text, or at its end, where a name stands for the URL."""
    return re.findall(r"\]\(([^)\s]+)\)|^\[[\w-]+\]: (\S+)$", without_code(page), re.MULTILINE)


def links() -> list[tuple[Path, str]]:
    """Return the links that lead into the repository; absolute ones as seen from its root."""
    found: list[tuple[Path, str]] = []
    for page in LINKING:
        for link in map("".join, links_of(page)):
            if ON_GITHUB.match(link):
                found.append((ROOT / "README.md", ON_GITHUB.sub("", link)))
            elif not link.startswith(("http://", "https://")):
                found.append((page, link))
    return found


@pytest.mark.parametrize(("page", "link"), links(), ids=lambda value: str(value).rpartition("/")[2])
def test_a_link_leads_somewhere(page: Path, link: str) -> None:
    file, _, anchor = link.partition("#")
    target = (page.parent / file).resolve() if file else page
    assert target.exists()
    if anchor:
        assert anchor in anchors(target)


def test_every_link_of_the_readme_works_on_pypi() -> None:
    links = list(map("".join, links_of(ROOT / "README.md")))
    assert len(links) > 20
    assert [link for link in links if not link.startswith("https://")] == []


def test_every_name_of_a_link_is_defined_once() -> None:
    text = without_code(ROOT / "README.md")
    used = re.findall(r"\]\[([\w-]+)\]", text)
    assert sorted(set(used)) == sorted(re.findall(r"^\[([\w-]+)\]: ", text, re.MULTILINE))


def test_every_picture_is_on_a_page() -> None:
    pictures = {path for folder in (DOCS, DOCS / "images") for path in folder.glob("*.*g")}
    shown = {(page.parent / link.partition("#")[0]).resolve() for page, link in links()}
    # Each picture of the board has a dark one beside it, for those who look at the folder.
    assert {path for path in pictures if not path.stem.endswith("-dark")} <= shown


@pytest.mark.parametrize("page", LINKING, ids=name)
def test_a_page_needs_no_program_to_draw_its_pictures(page: Path) -> None:
    assert "```mermaid" not in page.read_text()


def test_the_index_knows_every_page() -> None:
    index = (DOCS / "index.md").read_text()
    listed = set(re.findall(r"\]\((\w[\w-]*\.md)\)", index))
    assert listed | {"index.md"} == {page.name for page in PAGES}


def test_the_site_has_every_page_once() -> None:
    listed = re.findall(r"</docs/([\w-]+)>", (DOCS / "site.rst").read_text())
    assert sorted(listed) == sorted(page.stem for page in PAGES)


def fences() -> list[tuple[Path, str | None, str]]:
    return [
        (page, match["file"], match["code"])
        for page in WITH_CODE
        for match in _FENCE.finditer(page.read_text())
    ]


def test_the_pages_have_examples() -> None:
    assert len(fences()) > 5


@pytest.mark.parametrize(("page", "file", "code"), [fence for fence in fences() if fence[1]])
def test_a_quote_is_what_stands_in_the_file(page: Path, file: str, code: str) -> None:
    def squeezed(text: str) -> str:
        # A line that is too long in the file may fit on the page, where it is not indented.
        return re.sub(r",(?=[)\]}])", "", re.sub(r"\s", "", text))

    assert squeezed(code) in squeezed((ROOT / file).read_text())


@pytest.mark.parametrize(("page", "code"), [(page, code) for page, file, code in fences() if not file])
def test_other_code_runs(page: Path, code: str) -> None:
    exec(compile(code, name(page), "exec"), {})


@pytest.mark.parametrize("folder", ["dags", "docs/examples"])
def test_every_example_is_a_dag_file(folder: str) -> None:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dag_folder=str(ROOT / folder), safe_mode=False)
    assert bag.import_errors == {}
    files = {Path(dag.fileloc).name for dag in bag.dags.values()}
    assert files == {path.name for path in (ROOT / folder).rglob("*.py")}
    assert all(dag.doc_md for dag in bag.dags.values())


@pytest.mark.parametrize("page", LINKING, ids=name)
def test_a_page_is_made_for_reading(page: Path) -> None:
    text = page.read_text()
    assert text.startswith("# ")
    # A page that a program writes anew at every run keeps a paragraph in a line.
    assert max(map(len, without_tables(text))) <= 130 or "by `make bench`" in text
    assert not re.search(r"/(?:home|root|tmp|work)/", text), "a path of somebody's machine"
    for linked in re.findall(r"\.\./[\w./-]+", text):
        assert (page.parent / linked).resolve().is_relative_to(ROOT), "a path outside of the project"


def without_tables(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("|")]
