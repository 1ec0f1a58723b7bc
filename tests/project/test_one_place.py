"""Names of files, folders and columns of a catalog are in `catalogs/layout.py` alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import skymargin
from skymargin.catalogs import layout
from skymargin.storage import remote_output

PACKAGE = Path(skymargin.__file__).parent
NAMES = (
    "Norder=",
    "Dir=",
    "Npix=",
    "dataset/",
    "_healpix_29",
    "_hipscat_index",
    "hats.properties",
    "collection.properties",
    "catalog_info.json",
    "provenance_info.json",
    "partition_info.csv",
    "_common_metadata",
    "_metadata.skymargin.json",
    "data_thumbnail",
)
EXCEPTIONS = {
    # A layer below `catalogs`: the test below compares it with the layout.
    ("storage/remote_output.py", "catalog_info.json"),
    # Help texts of options, which `skymargin --help` prints without loading `catalogs`.
    ("cli/build.py", "dataset/"),
}


def texts(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the strings of a file, and the fixed parts of its f-strings, that are not docstrings; with their lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # A string that stands alone is documentation.
    documentation = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value, node.lineno


def test_strings_are_found_wherever_they_are(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text('"""Doc."""\nA = f"in {A} text"\ndef f(x="default"):\n    """Doc."""\n')
    assert sorted(texts(tmp_path / "file.py")) == [(" text", 2), ("default", 3), ("in ", 2)]
    assert {
        name for text, _ in texts(PACKAGE / "catalogs" / "layout.py") for name in NAMES if name in text
    } >= {
        "Npix=",
        "_healpix_29",
        "partition_info.csv",
    }


def test_only_the_layout_has_the_names_of_a_catalog() -> None:
    used = {
        (path.relative_to(PACKAGE).as_posix(), name): line
        for path in PACKAGE.rglob("*.py")
        for text, line in texts(path)
        for name in NAMES
        if name in text
    }
    elsewhere = {place: line for place, line in used.items() if place[0] != "catalogs/layout.py"}
    assert {place: line for place, line in elsewhere.items() if place not in EXCEPTIONS} == {}
    assert set(elsewhere) >= EXCEPTIONS, "an exception that is no longer needed"


def test_the_store_writes_last_what_makes_a_catalog_valid() -> None:
    others = [layout.PARTITION_INFO, layout.METADATA, layout.RECORD, layout.DATASET]
    marks = [*layout.VALID_BY, layout.COLLECTION]
    assert remote_output._marks_apart([*others, *marks]) == (sorted(others), sorted(marks))


def test_the_deepest_order_and_the_widest_threshold_are_numbers_of_one_module() -> None:
    homes = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Constant) and node.value in (29, 324_000))
        or (isinstance(node, ast.BinOp) and ast.unparse(node).startswith("90 * 3600"))
    }
    assert homes == {"geometry/limits.py"}
