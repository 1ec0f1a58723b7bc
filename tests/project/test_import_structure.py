"""What is loaded when: slow libraries stay out of the way of whoever does not need them."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.support.catalogs import sky_near_edges, write_catalog
from tests.support.hipscat_catalogs import write_hipscat_catalog
from tests.support.processes import run_python

# Each of these takes longer to import than the package may.
SLOW = "astropy dask distributed hats matplotlib numba pandas polars pyarrow scipy"


def loaded_after(code: str) -> set[str]:
    modules = set(run_python(f"{code}\nimport sys\nprint(*sys.modules)").split())
    assert "skymargin" in modules
    return modules


@pytest.mark.parametrize(
    "code",
    [
        "import skymargin",
        "import skymargin.cli.main",
        "from skymargin import MarginCacheArguments",
        "import skymargin; dir(skymargin)",
    ],
)
def test_nothing_slow_is_loaded_before_it_is_needed(code: str) -> None:
    assert not loaded_after(code) & set(SLOW.split())


def test_the_pipeline_is_a_function_however_it_is_reached() -> None:
    for code in (
        "from skymargin import pipeline",
        "import skymargin.build.pipeline; from skymargin import pipeline",
        "from skymargin.build.pipeline import pipeline",
        "import skymargin.cli.main, skymargin.build.stages.plan; from skymargin import pipeline",
    ):
        loaded_after(
            f"{code}; assert callable(pipeline), pipeline; import skymargin; assert skymargin.pipeline is pipeline"
        )


def test_loading_is_noticed() -> None:
    assert {"pyarrow", "numpy"} <= loaded_after("import skymargin; import pyarrow")


def test_the_public_names_are_listed_and_load_nothing() -> None:
    modules = loaded_after(
        "import skymargin; assert skymargin.__all__ == sorted(skymargin.__all__);"
        "assert dir(skymargin) == sorted([*skymargin.__all__, 'lsdb'])"
    )
    assert not {"lsdb", "skymargin.lsdb", "skymargin.plot", "skymargin.polars", "skymargin.build"} & modules


@pytest.mark.parametrize("name", ["lsdb", "plot", "polars"])
def test_modules_are_loaded_when_they_are_first_used(name: str) -> None:
    code = f"import warnings; import skymargin; warnings.simplefilter('ignore'); skymargin.{name}.__all__"
    assert f"skymargin.{name}" in loaded_after(code)


def test_without_lsdb_its_module_says_what_it_needs_and_all_else_works() -> None:
    code = """
import importlib.metadata, importlib.util
def version(name):
    raise importlib.metadata.PackageNotFoundError(name)
find_spec = importlib.util.find_spec
importlib.metadata.version = version
importlib.util.find_spec = lambda name, package=None: None if name == "lsdb" else find_spec(name, package)
import inspect
import skymargin
from skymargin import *
assert dir(skymargin) == skymargin.__all__
inspect.getmembers(skymargin)
try:
    skymargin.lsdb
except skymargin.errors.MissingExtraError as error:
    print(error)
"""
    assert run_python(code).strip() == "skymargin.lsdb needs LSDB: pip install 'lsdb>=0.11,<0.12'"


def loaded_by_a_build(catalog: Path, folder: Path, *, bars: bool = False) -> tuple[list[str], str, list[str]]:
    """Build a margin; return the packages that it loads besides pyarrow, some modules, and the lines before that."""
    code = f"""
import sys
import pyarrow.parquet
before = {{module.split(".")[0] for module in sys.modules}}
from skymargin import MarginCacheArguments, pipeline
pipeline(MarginCacheArguments(
    input_catalog_path={str(catalog)!r}, output_path={str(folder)!r}, output_artifact_name="margin",
    margin_threshold=60.0, progress_bar={bars}))
print(*sorted({{module.split(".")[0] for module in sys.modules}} - before - set(sys.stdlib_module_names)))
print(*({{"asyncio", "numpy", "pyarrow.compute"}} & set(sys.modules)))
"""
    *summary, listed, loaded = run_python(code).splitlines()
    # Bars have a lock of multiprocessing, which gives the main module a second name.
    return [name for name in listed.split() if name != "__mp_main__"], loaded, summary


@pytest.mark.parametrize("bars", [False, True])
def test_a_plain_build_loads_little_besides_pyarrow(bars: bool, small_catalog: Path, tmp_path: Path) -> None:
    """`import pyarrow.parquet` itself loads numpy. What else a build needs is listed here."""
    packages, loaded, summary = loaded_by_a_build(small_catalog, tmp_path, bars=bars)
    assert packages == ["filelock", "jproperties", "six", "skymargin", *(["tqdm"] if bars else [])]
    # Of tqdm, what notebooks need would load asyncio.
    assert loaded == "numpy"
    assert len(summary) == bars


def test_checks_and_summaries_load_no_pandas(small_catalog: Path, tmp_path: Path) -> None:
    """It takes longer than they do, and an interrupt is lost while pyarrow imports it."""
    loaded_by_a_build(small_catalog, tmp_path)
    margin = str(tmp_path / "margin")
    code = f"import skymargin; assert skymargin.verify({margin!r}).right; skymargin.info({margin!r})"
    assert "pandas" not in loaded_after(code)


def test_a_build_of_a_hipscat_margin_loads_even_less(tmp_path: Path) -> None:
    """The hipscat library takes seconds to import. It is for scripts of hipscat-import that ask for its objects."""
    sky = sky_near_edges(((0, 4), (1, 20), (1, 21)), rows=60, reach_arcsec=60.0, seed=5)
    write_hipscat_catalog(tmp_path / "stars", sky)
    packages, loaded, _ = loaded_by_a_build(tmp_path / "stars", tmp_path / "out")
    assert packages == ["filelock", "skymargin"]
    assert loaded == "numpy"


def test_hipscat_is_loaded_for_its_classes_alone(tmp_path: Path) -> None:
    sky = sky_near_edges(((0, 4), (1, 20), (1, 21)), rows=60, reach_arcsec=60.0, seed=5)
    write_hipscat_catalog(tmp_path / "stars", sky)
    code = f"""
import sys
from skymargin.compat.hipscat_arguments import HipscatImportArguments
from skymargin.errors import MissingExtraError
args = HipscatImportArguments(
    input_catalog_path={str(tmp_path / "stars")!r}, output_path={str(tmp_path / "out")!r},
    output_artifact_name="margin", margin_threshold=60.0, progress_bar=False)
assert args.catalog.catalog_info.ra_column == "ra"
args.provenance_info()
assert not [name for name in sys.modules if name.split(".")[0] == "hipscat"]
sys.modules["hipscat"] = None
for use in (lambda: args.to_catalog_info(60), args.catalog.get_healpix_pixels):
    try:
        use()
    except MissingExtraError as error:
        print(str(error).partition(" (")[0])
"""
    said = run_python(code).splitlines()
    assert len(said) == 2
    assert all(line.endswith("is needed for it: pip install 'hipscat>=0.3.9,<0.4'") for line in said)


@pytest.fixture
def small_catalog(tmp_path: Path) -> Path:
    path = tmp_path / "stars"
    write_catalog(path, sky_near_edges(((0, 4), (1, 20), (1, 21)), rows=60, reach_arcsec=60.0, seed=5))
    return path


@pytest.mark.parametrize("name", ["plot", "polars"])
def test_a_module_lists_what_is_for_users(name: str) -> None:
    module = importlib.import_module(f"skymargin.{name}")
    assert dir(module) == sorted(module.__all__)
