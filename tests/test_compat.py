"""Scripts of hipscat-import and hats-import, word for word, and what they read and call."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
from distributed import LocalCluster

from skymargin import MarginCacheArguments, pipeline
from skymargin.build.stages.plan import coarse_threshold_arcsec
from skymargin.compat.hats_arguments import HATS_IMPORT_ARGUMENTS, HatsImportArguments
from skymargin.compat.hipscat_arguments import HipscatImportArguments
from skymargin.errors import ArgumentError, OutputExistsError
from tests.support.catalogs import MIXED_PARTITIONS, ids_of, make_margin, on_disk, sky_near_edges
from tests.support.hipscat_catalogs import hipscat_ids, write_hipscat_catalog

# The examples of the page on margin caches of hipscat-import. They come one after the other in a script or notebook.
MINIMAL = """
from hipscat_import.margin_cache.margin_cache_arguments import MarginCacheArguments

args = MarginCacheArguments(
    input_catalog_path="./my_data/my_catalog",
    output_path="./output",
    margin_threshold=10.0,
    output_artifact_name="my_catalog_10arcs",
)
"""
WITH_CLIENT = """
from dask.distributed import Client
from hipscat_import.pipeline import pipeline_with_client

args = MarginCacheArguments(...)
with Client('scheduler:port') as client:
    pipeline_with_client(args, client)
"""
MAIN_GUARD = """
from hipscat_import.pipeline import pipeline

def margin_pipeline():
    args = MarginCacheArguments(...)
    pipeline(args)

if __name__ == '__main__':
    margin_pipeline()
"""
# What the page leaves to the reader, as the reader would fill it in.
FILLED_IN = MINIMAL[
    MINIMAL.index("args = MarginCacheArguments(") + len("args = MarginCacheArguments(") :
].strip()[:-1]
PACKAGES = ["hipscat_import", "hats_import"]


def run(script: str, folder: Path, package: str, **options: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder, after the one line that makes it ours, as if the package were not installed."""
    file = folder / "script.py"
    absent = "import skymargin.compat.install\nskymargin.compat.install.is_installed = lambda _package: False"
    file.write_text(f"{absent}\nskymargin.install_as_{package}()\n{textwrap.dedent(script)}")
    return subprocess.run(
        [sys.executable, "-W", "error", str(file)],
        cwd=folder,
        env={**os.environ, **options},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def folder(small_catalog: Path, tmp_path: Path) -> Path:
    """A folder as the page has it."""
    (tmp_path / "my_data").mkdir()
    (tmp_path / "my_data" / "my_catalog").symlink_to(small_catalog, target_is_directory=True)
    return tmp_path


@pytest.fixture(scope="module")
def expected(
    small_catalog: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[int, int], list[int]]:
    output = tmp_path_factory.mktemp("expected")
    make_margin(small_catalog, output, 3600.0)
    return ids_of(output / "margin")


def wide(script: str) -> str:
    """Widen the margin of a page's example, so that the small catalog has rows in it."""
    assert "10.0" in script
    return script.replace("10.0", "3600.0")


@pytest.mark.parametrize("package", PACKAGES)
def test_the_minimal_arguments_of_the_page(package: str, folder: Path) -> None:
    script = MINIMAL.replace("hipscat_import", package) + "print(args.catalog_path, args.margin_threshold)"
    done = run(script, folder, package)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "output/my_catalog_10arcs 10.0\n"


@pytest.mark.parametrize("package", PACKAGES)
def test_the_main_guard_of_the_page(
    package: str, folder: Path, expected: dict[tuple[int, int], list[int]]
) -> None:
    imports = MINIMAL.split("\n\n")[0]
    script = wide(imports + MAIN_GUARD.replace("...", FILLED_IN)).replace("hipscat_import", package)
    done = run(script, folder, package)
    assert done.returncode == 0, done.stderr
    assert "Mapping  : 100%" in done.stderr
    assert ids_of(folder / "output" / "my_catalog_10arcs") == expected


@pytest.mark.parametrize("package", PACKAGES)
def test_the_main_guard_of_the_page_with_a_hipscat_catalog(package: str, tmp_path: Path) -> None:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=300, reach_arcsec=3600.0, seed=23)
    (tmp_path / "my_data").mkdir()
    write_hipscat_catalog(tmp_path / "my_data" / "my_catalog", sky)
    imports = MINIMAL.split("\n\n")[0]
    script = wide(imports + MAIN_GUARD.replace("...", FILLED_IN)).replace("hipscat_import", package)
    done = run(script, tmp_path, package)
    assert done.returncode == 0, done.stderr
    margin = tmp_path / "output" / "my_catalog_10arcs"
    assert (margin / "catalog_info.json").exists()
    assert hipscat_ids(margin) == sky.margins(3600.0)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_client_of_the_page(
    package: str, folder: Path, expected: dict[tuple[int, int], list[int]]
) -> None:
    imports = MINIMAL.split("\n\n")[0]
    script = wide(imports + WITH_CLIENT.replace("...", FILLED_IN)).replace("hipscat_import", package)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        done = run(script.replace("scheduler:port", cluster.scheduler_address), folder, package)
    assert done.returncode == 0, done.stderr
    assert ids_of(folder / "output" / "my_catalog_10arcs") == expected


def test_all_modules_of_the_margin_path_and_what_scripts_read(folder: Path) -> None:
    for package in PACKAGES:
        done = run(
            f"""
            import sys
            import {package}
            import {package}.pipeline
            import {package}.margin_cache.margin_cache as runner
            from {package} import RuntimeArguments as FromTop
            from {package}.margin_cache import generate_margin_cache
            from {package}.margin_cache.margin_cache_arguments import MarginCacheArguments
            from {package}.runtime_arguments import RuntimeArguments
            from {package}.pipeline import pipeline, pipeline_with_client
            from dask.distributed import Client

            assert runner.generate_margin_cache is generate_margin_cache
            assert FromTop is RuntimeArguments
            args = MarginCacheArguments(
                input_catalog_path="my_data/my_catalog", output_path="{package}", tmp_dir="tmp",
                output_artifact_name="margin", margin_threshold=3600.0, progress_bar=False,
                completion_email_address="me@here.org",
            )
            assert isinstance(args, RuntimeArguments)
            info = args.catalog.catalog_info
            print(info.ra_column, info.dec_column, info.catalog_name, args.tmp_path, args.catalog_path)
            with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
                # As there, it sends no mail: none that could not be sent is warned of.
                assert generate_margin_cache(args, client) is None
            """,
            folder,
            package,
            SKYMARGIN_SMTP_PORT="1",
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"ra dec small tmp/margin/intermediate {package}/margin\n"
        assert ids_of(folder / package / "margin")


def test_the_face_of_hats_import(folder: Path) -> None:
    done = run(
        """
        from hats_import import MarginCacheArguments, pipeline, pipeline_with_client
        import hats_import
        assert callable(pipeline) and hats_import.pipeline is pipeline
        assert hats_import.__version__
        print(pipeline(MarginCacheArguments(
            "out", "margin", input_catalog_path="my_data/my_catalog", margin_threshold=3600, progress_bar=False
        )).rows)
        """,
        folder,
        "hats_import",
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == sum(map(len, ids_of(folder / "out" / "margin").values())) > 0


@pytest.mark.parametrize("package", PACKAGES)
def test_what_only_the_package_has_when_it_is_not_installed(package: str, folder: Path) -> None:
    done = run(
        f"""
        import {package}
        for line in (
            "from {package}.catalog.arguments import ImportArguments",
            "import {package}.collection",
            "from {package} import ImportArguments",
            "from {package}.pipeline import ImportArguments",
            "{package}.ImportArguments",
        ):
            try:
                exec(line)
            except (ImportError, AttributeError) as error:
                print(error)
        assert not hasattr({package}, "ImportArguments")
        """,
        folder,
        package,
    )
    said = done.stdout.splitlines()
    assert (done.returncode, len(said)) == (0, 5), done.stderr
    for line in said:
        assert f"skymargin stands in for {package}, and has its margin pipeline only" in line
        assert line.endswith(f"pip install {package.replace('_', '-')}")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_that_is_imported_already(package: str, tmp_path: Path) -> None:
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    (tmp_path / "script.py").write_text(f"import {package}, skymargin\nskymargin.install_as_{package}()\n")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert f"{package} is imported already, from {tmp_path}/{package}/__init__.py" in done.stderr
    assert f"skymargin.install_as_{package}() must be called before" in done.stderr


def test_to_install_twice_is_no_error_and_both_fit_together(folder: Path) -> None:
    done = run(
        """
        import sys
        skymargin.install_as_hipscat_import()
        skymargin.install_as_hats_import()
        import hats_import, hipscat_import
        assert hats_import is not hipscat_import
        assert sum(type(one).__module__ == "skymargin.compat.stand_in" for one in sys.meta_path) == 2
        """,
        folder,
        "hipscat_import",
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_to_install_is_quick(folder: Path) -> None:
    done = run(
        """
        import sys
        from hats_import.margin_cache.margin_cache_arguments import MarginCacheArguments
        print(sorted({"dask", "distributed", "hats", "numpy", "pyarrow", "pandas"} & set(sys.modules)))
        """,
        folder,
        "hats_import",
    )
    assert done.stdout == "[]\n", done.stderr


def given(folder: Path) -> dict[str, str]:
    return {
        "input_catalog_path": str(folder / "my_data" / "my_catalog"),
        "output_path": str(folder / "out"),
        "output_artifact_name": "margin",
    }


def test_arguments_by_position(folder: Path) -> None:
    source = given(folder)["input_catalog_path"]
    hipscat = HipscatImportArguments(
        str(folder / "out"), "margin", None, str(folder / "tmp"), False, input_catalog_path=source
    )
    assert (hipscat.tmp_path, hipscat.resume) == (f"{folder}/tmp/margin/intermediate", False)
    hats = HatsImportArguments(
        str(folder / "out"), "margin", {"creator_did": "x"}, "/", "data.parquet", input_catalog_path=source
    )
    assert (hats.addl_hats_properties, hats.npix_suffix, hats.npix_parquet_name) == (
        {"creator_did": "x"},
        "/",
        "data.parquet",
    )
    with pytest.raises(ArgumentError, match="output_path was given by position and by name"):
        HatsImportArguments("out", output_path="out")
    with pytest.raises(
        ArgumentError,
        match=r"HatsImportArguments takes at most 36 arguments by position: output_path, .* 37 were",
    ):
        HatsImportArguments(*range(len(HATS_IMPORT_ARGUMENTS) + 1))
    with pytest.raises(ArgumentError, match="file_list is not an argument"):
        HatsImportArguments(**given(folder), file_list=[])


@pytest.mark.parametrize("name", ["catalog_path", "tmp_path", "tmp_base_path"])
def test_what_is_a_result_is_refused_by_name(name: str, folder: Path) -> None:
    with pytest.raises(ArgumentError, match=f"{name}='elsewhere' cannot be given: it is derived from"):
        HatsImportArguments(**given(folder), **{name: "elsewhere"})
    HatsImportArguments(**given(folder), **{name: None})


def test_the_maps_of_the_sky_that_collections_ask_for_are_without_effect(folder: Path) -> None:
    """hats-import accepts them for margins too, by default, and writes none."""
    assert HatsImportArguments(**given(folder)).should_write_skymap
    maps = {"should_write_skymap": True, "skymap_alt_orders": [3], "create_skymap_png": True}
    args = HatsImportArguments(**given(folder), **maps, progress_bar=False)
    assert {name: getattr(args, name) for name in maps} == maps
    assert replace(args) == args
    args.should_write_skymap = False
    assert not args.should_write_skymap
    pipeline(args)
    assert not [file for file in (folder / "out" / "margin").iterdir() if "skymap" in file.name]


def test_what_scripts_assign_is_checked(folder: Path) -> None:
    for kind in (HipscatImportArguments, HatsImportArguments):
        args = kind(**given(folder), margin_threshold=7.0)
        before = dict(vars(args))
        with pytest.raises(ArgumentError, match="margin_threshold 'x' is not allowed"):
            args.margin_threshold = "x"
        with pytest.raises(ArgumentError, match=r"did you mean margin_threshold\?"):
            args.margin_treshold = 3
        with pytest.raises(
            ArgumentError, match="tmp_path='elsewhere' cannot be given: it is derived from tmp_dir"
        ):
            args.tmp_path = "elsewhere"
        args.tmp_path = None
        assert vars(args) == before
        args.tmp_dir = str(folder / "tmp")
        assert Path(args.tmp_path) == folder / "tmp" / "margin" / "intermediate"
        for made in (copy.copy(args), copy.deepcopy(args), pickle.loads(pickle.dumps(args)), replace(args)):
            assert type(made) is kind
            assert made == args


def test_the_catalog_that_scripts_read_follows_the_arguments(folder: Path) -> None:
    args = HatsImportArguments(**given(folder))
    pixels = args.catalog.get_healpix_pixels()
    assert args.catalog is args.catalog
    assert len(pixels) > 1
    args.debug_filter_pixel_list = pixels[:1]
    assert args.catalog.get_healpix_pixels() == pixels[:1]


def test_from_scratch_replaces_a_finished_margin_as_hipscat_import_does(folder: Path) -> None:
    """There the folder is deleted when the arguments are made; here the new margin takes its place."""
    catalog = Path(given(folder)["input_catalog_path"])
    margin = folder / "out" / "margin"
    make_margin(catalog, folder / "out", 3600.0)
    before = on_disk(margin)
    with pytest.raises(OutputExistsError, match="exists already; overwrite=True replaces it"):
        HipscatImportArguments(**given(folder))
    with pytest.raises(OutputExistsError, match="exists already; overwrite=True replaces it"):
        HipscatImportArguments(**given(folder), resume=False, overwrite=False)
    args = HipscatImportArguments(**given(folder), resume=False, progress_bar=False)
    assert on_disk(margin) == before
    pipeline(args)
    assert "hats_margin_threshold=5.0" in (margin / "hats.properties").read_text().splitlines()


def test_from_scratch_refuses_a_finished_margin_as_hats_import_does(folder: Path) -> None:
    """There it is "Output path ... already contains a valid catalog", whether `resume` is given or not."""
    catalog = Path(given(folder)["input_catalog_path"])
    make_margin(catalog, folder / "out", 3600.0)
    before = on_disk(folder / "out")
    for asked in ({}, {"resume": True}, {"resume": False}):
        with pytest.raises(OutputExistsError, match="exists already; overwrite=True replaces it"):
            HatsImportArguments(**given(folder), **asked)
    assert not HatsImportArguments(**given(folder), resume=False, overwrite=True).resume
    assert on_disk(folder / "out") == before


@pytest.mark.parametrize("kind", [HatsImportArguments, HipscatImportArguments])
def test_from_scratch_replaces_what_an_interrupted_run_of_ours_left(
    kind: type[MarginCacheArguments], folder: Path
) -> None:
    """On an object store; by the record that lies with it."""
    catalog = Path(given(folder)["input_catalog_path"])
    margin = folder / "out" / "margin"
    make_margin(catalog, folder / "out", 3600.0)
    for name in ("hats.properties", "properties"):
        (margin / name).unlink()
    with pytest.raises(OutputExistsError, match="interrupted run"):
        kind(**given(folder))
    (margin / "thesis.tex").write_text("mine")
    before = on_disk(margin)
    with pytest.raises(OutputExistsError, match=r"thesis\.tex"):
        kind(**given(folder), resume=False)
    assert on_disk(margin) == before
    (margin / "thesis.tex").unlink()
    pipeline(kind(**given(folder), resume=False, progress_bar=False))
    assert (margin / "hats.properties").exists()


@pytest.mark.parametrize("kind", [HatsImportArguments, HipscatImportArguments])
@pytest.mark.parametrize(
    "names",
    [
        ("thesis.tex",),
        ("dataset/Norder=0/Dir=0/Npix=4.parquet", "intermediate/mapping/0_0_4_done"),
        ("Norder=0/Dir=0/Npix=4.parquet", "intermediate/margin_pair.csv"),
    ],
    ids=["a folder of the user", "cut off by hats-import", "cut off by hipscat-import"],
)
def test_from_scratch_deletes_no_folder_of_others(
    names: tuple[str, ...], kind: type[MarginCacheArguments], folder: Path
) -> None:
    """Both packages delete these when the arguments are made."""
    for name in names:
        file = folder / "out" / "margin" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    before = on_disk(folder / "out")
    with pytest.raises(OutputExistsError, match="is a folder that is no margin"):
        kind(**given(folder), resume=False)
    assert on_disk(folder / "out") == before


def test_a_margin_order_alone_sets_the_threshold_for_hats_import(folder: Path) -> None:
    exact = HatsImportArguments(**given(folder), margin_order=8)
    assert exact.fine_filtering
    assert exact.margin_threshold == coarse_threshold_arcsec(8)
    assert HatsImportArguments(**given(folder), margin_order=8, fine_filtering=True).margin_threshold == 5.0
    assert HipscatImportArguments(**given(folder), margin_order=8).margin_threshold == 5.0
    with pytest.raises(ArgumentError, match="margin_order 31"):
        HatsImportArguments(**given(folder), margin_order=31)
