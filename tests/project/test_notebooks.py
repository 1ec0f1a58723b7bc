"""The notebooks of the documentation run in an empty folder, what they find is complete, and they become pages."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import nbformat
import pytest

from tools import mkdocs_notebooks as notebook_pages

SOURCES = notebook_pages.notebooks()
# The hats library says the first of every collection that hats-import validates; LSDB warns as it should.
KNOWN = (
    "WARNING:root:Looking for catalog - found collection.",
    "RuntimeWarning: Right catalog does not have a margin cache. Results may be incomplete and/or inaccurate.",
    "warnings.warn(",
)


class Executed(NamedTuple):
    """An executed notebook, the folder it ran in, and its page."""

    source: Path
    notebook: Any
    folder: Path
    page: str
    pictures: dict[str, bytes]

    @property
    def printed(self) -> str:
        """All that its cells print."""
        return "".join(text for name, text in self._streams() if name == "stdout")

    @property
    def complained(self) -> str:
        """All that its cells write on standard error."""
        return "".join(text for name, text in self._streams() if name == "stderr")

    def _streams(self) -> list[tuple[str, str]]:
        return [
            (output.name, output.text)
            for cell in self.notebook.cells
            for output in cell.get("outputs", [])
            if output.output_type == "stream"
        ]


@pytest.fixture(scope="module")
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Executed:
    """Run a notebook, once for all tests of it."""
    source = notebook_pages.DOCS / "tutorials" / f"{request.param}.ipynb"
    folder = tmp_path_factory.mktemp(request.param)
    notebook = notebook_pages.executed(source, folder)
    return Executed(source, notebook, folder, *notebook_pages.as_page(notebook, source, folder))


def of(*names: str) -> Any:
    return pytest.mark.parametrize("executed", names, indirect=True)


def numbers(pattern: str, printed: str) -> list[int]:
    """The numbers in the one place of a text that matches."""
    (found,) = re.findall(pattern, printed)
    return [int(number) for number in (found if isinstance(found, tuple) else (found,))]


def check(executed: Executed) -> None:
    """What holds of every notebook that was executed."""
    codes = [cell for cell in executed.notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in codes] == list(range(1, len(codes) + 1))
    # Progress and "Building task graph..." of LSDB may be there, complaints may not.
    complained = executed.complained
    for known in KNOWN:
        complained = complained.replace(known, "")
    # Another test, or program, may have Dask's usual port.
    complained = re.sub(r"\S+ UserWarning: Port 8787 is already in use\.", "", complained)
    assert not re.search(r"warning|error|traceback", complained, re.IGNORECASE), complained
    page = executed.page
    for cell in codes:
        assert f"```python\n{cell.source}\n```" in page
    assert "application/vnd.jupyter" not in page
    assert str(executed.folder) not in page
    assert page.count("```") % 2 == 0
    first, _, third = page.splitlines()[:3]
    assert first.startswith("# ")
    assert f"({executed.source.name})" in third
    for name, content in executed.pictures.items():
        assert f"]({name})" in page
        assert content.startswith(b"\x89PNG")
        assert len(content) < 400_000
    # A picture has words for those who cannot see it.
    assert "The picture that the code above draws" not in page


@of("in-a-notebook")
def test_a_crossmatch_in_a_notebook(executed: Executed) -> None:
    check(executed)
    pairs, complete, incomplete = numbers(
        r"(\d+) pairs: (\d+) found with the margin, (\d+) without it", executed.printed
    )
    assert pairs == complete > incomplete
    page = executed.page
    # The arguments, the report and the audit are tables; the picture is a file beside the page.
    for title in ("MarginCacheArguments", "Margin built", "Margin verified: right"):
        assert page.count(f">{title}</th>") == 1
    assert "0 missing, 0 extra" in page
    assert list(executed.pictures) == ["in-a-notebook-1.png"]
    # Bars are widgets, which a page has no use for.
    bars = [
        output
        for cell in executed.notebook.cells
        for output in cell.get("outputs", [])
        if "Mapping" in output.get("data", {}).get("text/plain", "")
    ]
    assert len(bars) == 1
    assert "application/vnd.jupyter.widget-view+json" in bars[0].data
    assert "Mapping  :" not in page


@of("csv-to-collection")
def test_from_csv_files_to_a_collection(executed: Executed) -> None:
    check(executed)
    assert executed.printed.count("Result  : right") == 2
    assert "my_stars_5arcs (default): 5 arcsec" in executed.page
    assert "my_stars has the margin my_stars_5arcs" in executed.printed
    properties = (executed.folder / "my_stars" / "my_stars_1arcmin" / "hats.properties").read_text()
    assert "hats_builder=skymargin" in properties


@of("survey-on-s3")
def test_a_survey_on_s3(executed: Executed) -> None:
    check(executed)
    found, _, stars = numbers(r"(\d+) of (\d+) targets have (\d+) stars", executed.printed)
    assert 450 < found <= 500
    assert numbers(r"(\d+) pairs by astropy", executed.printed) == [stars]
    properties = (executed.folder / "my_gaia" / "collection.properties").read_text()
    assert "hats_primary_table_url=s3://survey/gaia\n" in properties
    # Nothing of the survey was copied.
    assert [path.name for path in executed.folder.iterdir()] == ["my_gaia"]
    assert {path.name for path in (executed.folder / "my_gaia").iterdir()} == {
        "collection.properties",
        "gaia_30arcs",
    }


@of("without-a-margin-cache")
def test_lsdb_without_a_margin_cache(executed: Executed) -> None:
    check(executed)
    complete, alone = numbers(r"(\d+) pairs; LSDB alone finds (\d+)", executed.printed)
    assert numbers(r"\n(\d+) pairs by astropy", executed.printed) == [complete]
    assert alone < complete
    filtered, pairs = numbers(r"(\d+) pairs, (\d+) by astropy", executed.printed)
    assert filtered == pairs > 0
    part, whole = numbers(r"(\d+) of (\d+) partitions", executed.printed)
    assert 0 < part < whole
    assert numbers(r"(\d+) in the margin around it", executed.printed)[0] > 0


def test_every_notebook_has_a_test() -> None:
    marks = [
        mark
        for name, test in globals().items()
        if name.startswith("test_")
        for mark in getattr(test, "pytestmark", [])
        if mark.kwargs.get("indirect")
    ]
    assert sorted(name for mark in marks for name in mark.args[1]) == [path.stem for path in SOURCES]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "markdown"
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False) + "\n"
    assert [cell.id for cell in notebook.cells] == [
        f"cell-{number:02}" for number in range(1, len(notebook.cells) + 1)
    ]
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None
            ast.parse(cell.source)


def test_outputs_become_markdown() -> None:
    output = nbformat.v4.new_output
    cell = nbformat.v4.new_code_cell
    source, folder = Path("docs/x/book.ipynb"), Path("/somewhere/else")
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# Title\n\n[Other](../y/other.ipynb#part)."),
            cell(
                "1 + 1",
                outputs=[
                    output("stream", name="stdout", text="one "),
                    output("stream", name="stderr", text="hidden"),
                    output("stream", name="stdout", text="two\n"),
                    output("execute_result", {"text/plain": "/somewhere/else/a\nb"}),
                ],
            ),
            cell("none"),
            cell(
                "many",
                metadata={"alt": "A dot."},
                outputs=[
                    output(
                        "display_data", {"text/plain": "bar", "application/vnd.jupyter.widget-view+json": {}}
                    ),
                    output("display_data", {"text/plain": "f", "image/png": "iVBORw=="}),
                    output(
                        "execute_result",
                        {
                            "text/plain": "t",
                            "text/html": '<style scoped>\n\nx\n</style>\n<table border="1" class="dataframe"></table>',
                        },
                    ),
                ],
            ),
        ]
    )
    page, pictures = notebook_pages.as_page(notebook, source, folder)
    assert page == (
        "# Title\n\nThis page is a notebook: [download book.ipynb](book.ipynb) to run it.\n\n"
        "[Other](../y/other.md#part).\n\n"
        "```python\n1 + 1\n```\n\n```text\none two\n```\n\n```text\na\nb\n```\n\n"
        "```python\nnone\n```\n\n"
        "```python\nmany\n```\n\n![A dot.](book-1.png)\n\n<div>\n<table></table>\n</div>\n"
    )
    assert pictures == {"book-1.png": b"\x89PNG"}


def test_links_to_notebooks_become_links_to_pages() -> None:
    page = SimpleNamespace(file=SimpleNamespace(generated_by=None))
    text = "[a](b/c.ipynb), [d](e.ipynb#f), `g.ipynb`, [h](i.md)"
    assert (
        notebook_pages.on_page_markdown(text, page=page) == "[a](b/c.md), [d](e.md#f), `g.ipynb`, [h](i.md)"
    )
    page.file.generated_by = "hook"
    assert notebook_pages.on_page_markdown(text, page=page) == text


def test_pages_link_to_notebooks_that_are_there() -> None:
    links = [
        (page, link)
        for page in [*notebook_pages.DOCS.rglob("*.md"), *SOURCES]
        for link in re.findall(r"\]\(([^)\s:]+\.(?:ipynb|md))[)#]", page.read_text(encoding="utf-8"))
    ]
    assert any(link.endswith(".ipynb") for _, link in links)
    assert not [(page, link) for page, link in links if not (page.parent / link).is_file()]


def test_a_cell_that_fails_ends_the_build_of_the_site(tmp_path: Path) -> None:
    from nbclient.exceptions import CellExecutionError

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("raise ValueError('as it is')")])
    nbformat.write(book, tmp_path / "book.ipynb")
    with pytest.raises(CellExecutionError, match="as it is"):
        notebook_pages.executed(tmp_path / "book.ipynb", tmp_path)
