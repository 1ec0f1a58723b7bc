"""Imports go only downwards in the layers of ARCHITECTURE.md, in Python and in Rust."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import skymargin
import skymargin.plot
import skymargin.polars

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "skymargin"
# The crates whose modules have layers, and what each may depend on besides crates of other people.
CRATES = {
    "geometry": set[str](),
    "scan": {"skymargin-geometry"},
    "shuffle": {"skymargin-geometry", "skymargin-scan"},
}
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def layers(block: str) -> dict[str, int]:
    """Return the height of each module of a block of lines: that of the lowest line is 0."""
    found = re.search(rf"```{block}\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"ARCHITECTURE.md has no block {block}"
    lines = [line.partition("#")[0] for line in found[1].split("\n")[:-1]]
    heights = {module: len(lines) - number for number, line in enumerate(lines, 1) for module in line.split()}
    assert sum(len(line.split()) for line in lines) == len(heights), f"a module is listed twice in {block}"
    return heights


def package_layers() -> dict[str, int]:
    """Return the layer of each folder and file of the package, as the table has it."""
    heights: dict[str, int] = {}
    for layer, names in re.findall(r"^\| (\d) \| (.*?) \|", PAGE, re.MULTILINE):
        for name in re.findall(r"`([\w/]+)`", names):
            assert name not in heights, f"{name} is listed twice"
            heights[name] = int(layer)
    return heights


def python_modules() -> dict[str, Path]:
    """Return the files of the package by the name of the module in it."""
    return {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}


def place(module: str) -> str:
    """Return the name under which the table has a module: its folder with a slash, or the file."""
    first, *inside = module.split(".")
    return f"{first}/" if inside else first


def crate_modules(crate: str) -> dict[str, Path]:
    """Return the source files of a crate by the path of the module in each; a folder is named by its `mod.rs`."""
    folder = ROOT / "rust" / crate / "src"
    paths = {path: path.relative_to(folder).with_suffix("").parts for path in folder.rglob("*.rs")}
    files = {"::".join(parts).removesuffix("::mod"): path for path, parts in paths.items()}
    files.pop("lib")
    return files


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


def package_imports(modules: dict[str, Path]) -> Iterator[tuple[str, str, str]]:
    """Yield each import between modules of the package: who, whom, and where it is written."""
    known = {*modules, "_core"}
    for module, path in modules.items():
        for name, line in imports(path):
            if name.split(".")[0] == "skymargin":
                yield module, own_module(name, known), f"{path}:{line}"


# These two only pass names on: the command's entry, and the public names.
PASSES_ON = {("__main__", "cli/"), ("__init__", "compat/")}


def test_every_file_is_in_a_layer_and_every_layer_has_files() -> None:
    heights = package_layers()
    assert set(heights) == {place(module) for module in [*python_modules(), "_core"]}
    assert set(heights.values()) == set(range(1, 9))
    for crate in CRATES:
        assert set(layers(f"{crate}-layers")) == set(crate_modules(crate))


def test_no_import_goes_upwards_or_sideways() -> None:
    heights = package_layers()
    seen = 0
    wrong = []
    for module, target, where in package_imports(python_modules()):
        seen += 1
        own, other = place(module), place(target)
        if own != other and heights[other] >= heights[own] and (own, other) not in PASSES_ON:
            wrong.append(f"{where}: {module} imports {target}, which is not in a lower layer")
    assert not wrong
    assert seen > 150


def circles(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return the first circle among pairs (who, whom), if there is one."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for importer, imported in pairs:
        if importer != imported:
            sorter.add(importer, imported)
    try:
        sorter.prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_import_goes_in_a_circle() -> None:
    pairs = [(module, target) for module, target, _ in package_imports(python_modules())]
    assert len(set(pairs)) > 150
    assert not circles(pairs)


def test_folders_of_the_build_do_not_import_in_a_circle() -> None:
    pairs = {
        (".".join(module.split(".")[:-1]), ".".join(target.split(".")[:-1]))
        for module, target, _ in package_imports(python_modules())
        if module.count(".") == target.count(".") == 2
    }
    assert ("build.checkpoint", "build.stages") in pairs
    assert not circles(pairs)


def test_a_circle_is_found() -> None:
    assert set(circles([("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")])) == {"a", "b", "c"}


def test_no_module_bears_the_full_name_of_a_public_function() -> None:
    modules = {f"skymargin.{module.removesuffix('.__init__')}" for module in python_modules()}
    public = [
        f"{face.__name__}.{name}"
        for face in (skymargin, skymargin.plot, skymargin.polars)
        for name in face.__all__
        if callable(getattr(face, name))
    ]
    assert len(public) > 25
    assert not modules & set(public)


def test_the_extension_is_imported_by_its_full_name() -> None:
    users = 0
    for path in python_modules().values():
        text = path.read_text(encoding="utf-8")
        users += "import skymargin._core as _core" in text
        assert "from skymargin import _core" not in text, path
    assert users > 10


@pytest.mark.parametrize("folder", ["python", "rust", "tests", "benchmarks", "conformance", "tools"])
def test_files_have_at_most_450_lines(folder: str) -> None:
    paths = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".pyi", ".rs", ".sh")]
    long = {str(path): lines for path in paths if (lines := len(path.read_text().splitlines())) > 450}
    assert paths
    assert not long


def test_the_search_finds_imports_of_every_form(tmp_path: Path) -> None:
    file = tmp_path / "form.py"
    file.write_text(
        "import skymargin.build.stages.plan\nfrom skymargin import pipeline, _core\n"
        "import skymargin._core as _core\n"
        "def f():\n    from skymargin.catalogs import hats\n    import skymargin.catalogs.hipscat as h\n"
    )
    known = {*python_modules(), "_core"}
    found = [own_module(name, known) for name, _ in imports(file)]
    assert found == ["build.stages.plan", "__init__", "_core", "_core", "catalogs.hats", "catalogs.hipscat"]


@pytest.mark.parametrize("crate", CRATES)
def test_rust_uses_go_downwards(crate: str) -> None:
    heights = layers(f"{crate}-layers")
    seen = 0
    for module, path in crate_modules(crate).items():
        text = path.read_text(encoding="utf-8")
        # `super` would hide a use of another module; in a module of tests it is the module itself.
        assert not re.search(r"\bsuper::(?!\*)", text), f"{path} uses a module through super"
        for outer, inner in re.findall(r"\bcrate::([a-z]\w*)(::[a-z]\w*)?", text):
            seen += 1
            target = outer + inner if outer + inner in heights else outer
            assert heights[target] < heights[module], f"{path} uses {target}, which is not below it"
    assert seen > 10


def test_crates_depend_on_crates_below_and_one_file_knows_cdshealpix() -> None:
    for crate, below in CRATES.items():
        manifest = tomllib.loads((ROOT / "rust" / crate / "Cargo.toml").read_text(encoding="utf-8"))
        names = set(manifest["dependencies"])
        assert {name for name in names if name.startswith("skymargin")} == below
        assert not [name for name in names if name.startswith("py")]
    geometry = tomllib.loads((ROOT / "rust/geometry/Cargo.toml").read_text(encoding="utf-8"))
    assert set(geometry["dependencies"]) == {"cdshealpix", "rayon", "thiserror"}
    users = [
        path.name for path in (ROOT / "rust").glob("*/src/**/*.rs") if "cdshealpix::" in path.read_text()
    ]
    assert users == ["healpix.rs"]


def test_a_scan_knows_little_of_the_geometry() -> None:
    uses = {
        (module, use)
        for module, path in crate_modules("scan").items()
        for use in re.findall(r"\bskymargin_geometry::([\w:]+)", path.read_text(encoding="utf-8"))
        if module != "row_filter"
    }
    assert uses
    assert {use for _, use in uses} <= {"healpix", "pixel::MAX_ORDER"}


def test_every_public_item_of_the_geometry_has_an_example() -> None:
    item = re.compile(r"^ *pub (?:const fn|fn|struct|enum|const) (\w+)")
    seen = 0
    for path in crate_modules("geometry").values():
        doc: list[str] = []
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.lstrip().startswith(("///", "#[")):
                doc.append(line.strip())
                continue
            if public := item.match(line):
                seen += 1
                assert "/// # Examples" in doc, f"{path}: {public[1]} has no example"
            doc = []
    assert seen > 80


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
        assert module.startswith("catalogs.") or not uses, f"{path} imports {uses}"
        lazy += len(uses)
    assert lazy >= least


@pytest.mark.parametrize("library", ["polars", "lsdb"])
def test_a_library_is_imported_in_the_folder_of_its_name_alone(library: str) -> None:
    users = {
        module
        for module, path in python_modules().items()
        for name, _ in imports(path)
        if name.split(".")[0] == library
    }
    assert users
    assert {module.split(".")[0] for module in users} == {library}


def test_only_tables_in_memory_use_threads_of_their_own() -> None:
    users = [path.name for path in (ROOT / "rust").glob("*/src/**/*.rs") if "rayon::" in path.read_text()]
    assert users == ["in_memory.rs"]


def test_catalogs_uses_nothing_of_margins_from_the_core() -> None:
    used = {
        name
        for module, path in python_modules().items()
        if module.startswith("catalogs.")
        for name in re.findall(r"\b_core\.(\w+)", path.read_text(encoding="utf-8"))
    }
    of_files = {"ParquetFormat", "transport_schema", "row_groups", "encrypted_column"}
    assert used == of_files | {"spatial_index", "VERSION"}


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
    # A path may begin at the package's folder, as in the table of layers.
    missing = [
        name
        for name in names
        if name.split("/")[0] not in made and not (ROOT / name).exists() and not (PACKAGE / name).exists()
    ]
    assert names
    assert not missing
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = set(re.findall(r"`make ([a-z]+)`", text))
    assert commands <= targets
    assert commands or page == "ARCHITECTURE.md"


def test_pytest_looks_into_every_folder_of_tests(pytestconfig: pytest.Config) -> None:
    """Its default leaves out folders named `build`."""
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py")}
    assert Path("tests/build") in folders
    left_out = {
        str(folder)
        for folder in folders
        for pattern in pytestconfig.getini("norecursedirs")
        if any(fnmatch(part, pattern) for part in folder.parts)
    }
    assert not left_out
