"""Imports go only downwards in the layers that ARCHITECTURE.md lists, in Python and in Rust."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "skymargin"
CORE = ROOT / "rust" / "core"
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def layers(block: str) -> dict[str, int]:
    """Return the height of each module: that of the lowest line is 0."""
    found = re.search(rf"```{block}\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"ARCHITECTURE.md has no block {block}"
    lines = found[1].split("\n")[:-1]
    heights = {module: len(lines) - number for number, line in enumerate(lines, 1) for module in line.split()}
    assert sum(len(line.split()) for line in lines) == len(heights), f"a module is listed twice in {block}"
    return heights


def python_modules() -> dict[str, Path]:
    """Return the files of the package by the name of the module in it."""
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


def core_rooms() -> dict[str, list[Path]]:
    """Return the files of each room of the core: one file, or a folder of them."""
    rooms: dict[str, list[Path]] = {}
    for path in (CORE / "src").rglob("*.rs"):
        room = path.relative_to(CORE / "src").parts[0].removesuffix(".rs")
        rooms.setdefault(room, []).append(path)
    rooms.pop("lib")
    return rooms


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the full names of what a file imports, wherever in it, and the lines."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; write the whole name"
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def own_module(name: str, known: set[str]) -> str:
    """Return the module of the package that a full name belongs to, as the layers call it."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        for module in (".".join(parts[:length]), ".".join([*parts[:length], "__init__"])):
            if module in known:
                return module
    return "__init__"


def test_every_module_has_a_place() -> None:
    assert set(layers("layers")) == {*python_modules(), "_core"}
    assert set(layers("core-layers")) == set(core_rooms())


def test_python_imports_go_downwards() -> None:
    heights = layers("layers")
    seen = 0
    wrong = []
    for module, path in python_modules().items():
        for name, line in imports(path):
            if name.split(".")[0] != "skymargin":
                continue
            target = own_module(name, set(heights))
            seen += 1
            # The names of the face are typed by imports that never run, upwards or not; it has no other imports.
            if heights[target] >= heights[module]:
                wrong.append(f"{path}:{line}: {module} imports {name}, which is not below it")
    assert not wrong
    assert seen > 50


def test_the_search_finds_imports_of_every_form(tmp_path: Path) -> None:
    file = tmp_path / "form.py"
    file.write_text(
        "import skymargin.build.stages.plan\nfrom skymargin import pipeline, _core\n"
        "def f():\n    from skymargin.formats import Catalog\n    import skymargin.catalogs.hats as h\n"
    )
    known = set(layers("layers"))
    found = [own_module(name, known) for name, _ in imports(file)]
    assert found == ["plan", "pipeline", "_core", "formats.__init__", "formats.hats"]


def test_rust_uses_go_downwards() -> None:
    heights = layers("core-layers")
    seen = 0
    for room, paths in core_rooms().items():
        for path in paths:
            for target in re.findall(r"\bcrate::(\w+)", path.read_text(encoding="utf-8")):
                seen += 1
                assert heights[target] < heights[room], f"{path} uses {target}, which is not below it"
    assert seen > 10


def test_the_core_knows_no_python_and_one_file_knows_cdshealpix() -> None:
    manifest = tomllib.loads((CORE / "Cargo.toml").read_text(encoding="utf-8"))
    assert "cdshealpix" in manifest["dependencies"]
    assert not [name for name in manifest["dependencies"] if "py" in name]
    users = [
        path.name for path in (ROOT / "rust").glob("*/src/**/*.rs") if "cdshealpix::" in path.read_text()
    ]
    assert users == ["healpix.rs"]


@pytest.mark.parametrize(("library", "least"), [("hats", 4), ("hipscat", 2)])
def test_libraries_of_formats_are_imported_there_alone_and_lazily(library: str, least: int) -> None:
    lazy = 0
    for module, path in python_modules().items():
        eager = {
            alias
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in (
                [node.module] if isinstance(node, ast.ImportFrom) else [name.name for name in node.names]
            )
        }
        assert not [name for name in eager if name and name.split(".")[0] == library], (
            f"{path}: {library} at the top"
        )
        uses = [name for name, _ in imports(path) if name.split(".")[0] == library]
        assert module.startswith("formats.") or not uses, f"{path} imports {uses}"
        lazy += len(uses)
    assert lazy >= least


def test_polars_is_imported_in_its_folder_alone() -> None:
    users = {
        module
        for module, path in python_modules().items()
        for name, _ in imports(path)
        if name.split(".")[0] == "polars"
    }
    assert users
    assert {module.split(".")[0] for module in users} == {"polars"}


def test_only_tables_in_memory_use_threads_of_their_own() -> None:
    users = [path.name for path in (ROOT / "rust").glob("*/src/**/*.rs") if "rayon::" in path.read_text()]
    assert users == ["in_memory.rs"]


def test_formats_knows_no_geometry() -> None:
    allowed = {"skymargin._core"}
    geometry = set(layers("layers")) & {"outline", "projection", "plan", "scan", "_core"}
    for module, path in python_modules().items():
        if not module.startswith("formats."):
            continue
        for name, line in imports(path):
            if name.startswith("skymargin.") and name not in allowed:
                assert own_module(name, geometry) not in geometry, f"{path}:{line} imports {name}"
        used = set(re.findall(r"\b_core\.(\w+)", path.read_text(encoding="utf-8")))
        assert used <= {"spatial_index"}, f"{path} uses {used} of the core"


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"])
def test_files_and_commands_that_pages_name_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    made = {".venv", ".venvs", "target", "dist", "demo"}
    names = {
        name.rstrip("/")
        for name in re.findall(r"`([\w./-]+)`", text)
        if "/" in name or name in {"Makefile", "pyproject.toml"}
    }
    names |= {link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link}
    missing = [name for name in names if name.split("/")[0] not in made and not (ROOT / name).exists()]
    assert names
    assert not missing
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = set(re.findall(r"`make ([a-z]+)`", text))
    assert commands <= targets
    assert commands or page == "ARCHITECTURE.md"
