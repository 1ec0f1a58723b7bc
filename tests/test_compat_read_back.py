"""What scripts read back from the arguments of hats-import and hipscat-import."""

from __future__ import annotations

import copy
import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from hats.pixel_math import HealpixPixel
from hats.pixel_math import healpix_shim as hp

from skymargin import MarginCacheArguments, pipeline
from skymargin.build.stages.plan import coarse_threshold_arcsec
from skymargin.catalogs.library_catalog import library_catalog
from skymargin.compat.hats_arguments import HatsImportArguments
from skymargin.compat.hipscat_arguments import HipscatImportArguments
from skymargin.errors import ArgumentError, OutputExistsError
from tests.support.catalogs import MIXED_PARTITIONS, sky_near_edges
from tests.support.hipscat_catalogs import write_hipscat_catalog

BOTH = pytest.mark.parametrize("kind", [HatsImportArguments, HipscatImportArguments])
Kind = type[MarginCacheArguments]


@pytest.fixture
def given(small_catalog: Path, tmp_path: Path) -> dict[str, object]:
    """The required arguments."""
    return {
        "input_catalog_path": str(small_catalog),
        "output_path": str(tmp_path / "out"),
        "output_artifact_name": "margin",
        "progress_bar": False,
    }


@pytest.fixture
def hipscat_catalog(tmp_path: Path) -> Path:
    sky = sky_near_edges(MIXED_PARTITIONS, rows=200, reach_arcsec=60.0, seed=5)
    write_hipscat_catalog(tmp_path / "stars", sky)
    return tmp_path / "stars"


@BOTH
@pytest.mark.parametrize("threshold_arcsec", [0.5, 5.0, 10.0, 3600.0])
def test_the_order_is_the_one_that_the_packages_choose(
    kind: Kind, threshold_arcsec: float, given: dict[str, object]
) -> None:
    args = kind(**given, margin_threshold=threshold_arcsec)
    assert args.margin_order == hp.margin2order(threshold_arcsec / 60.0)
    assert (args.margin_threshold, args.search_order) == (threshold_arcsec, -1)
    assert replace(args) == args
    args.margin_threshold = 20.0
    assert args.margin_order == hp.margin2order(20.0 / 60.0)


@BOTH
def test_the_order_of_a_coarse_margin_sets_its_threshold(kind: Kind, given: dict[str, object]) -> None:
    args = kind(**given, margin_order=8, fine_filtering=False, margin_threshold=7.0)
    assert (args.margin_order, args.search_order) == (8, 8)
    assert args.margin_threshold == coarse_threshold_arcsec(8)
    assert args.margin_threshold == pytest.approx(hp.order2mindist(8) * 60.0)
    assert replace(args) == args
    args.margin_order = 9
    assert (args.margin_threshold, args.search_order) == (coarse_threshold_arcsec(9), 9)
    # A threshold alone is kept, though its order is read back.
    args = kind(**given, fine_filtering=False, margin_threshold=7.0)
    assert (args.margin_threshold, args.margin_order) == (7.0, 14)
    assert replace(args) == args
    plain = MarginCacheArguments(
        **{**given, "output_path": f"{given['output_path']}_plain"}, margin_threshold=7.0
    )
    assert plain.margin_order == -1
    plain.fine_filtering = False
    pipeline(args)
    pipeline(plain)
    names = ["partition_info.csv", "hats.properties"]
    ours, same = (
        (Path(str(each.catalog_path)) / name).read_text() for each in (args, plain) for name in names[:1]
    )
    assert ours == same
    properties = (Path(str(args.catalog_path)) / names[1]).read_text().splitlines()
    assert "hats_margin_threshold=7.0" in properties


def test_margins_of_different_orders_share_a_run(given: dict[str, object]) -> None:
    """The order that is read back differs; the run chooses one for both."""
    margins = [
        HatsImportArguments(**{**given, "output_artifact_name": f"m{arcsec}"}, margin_threshold=arcsec)
        for arcsec in (60.0, 3600.0)
    ]
    assert margins[0].margin_order != margins[1].margin_order
    assert [report.margin_threshold_arcsec for report in pipeline(margins)] == [60.0, 3600.0]


@BOTH
def test_pixels_that_overlap_no_partition_are_refused_at_construction(
    kind: Kind, given: dict[str, object], hipscat_catalog: Path
) -> None:
    for catalog in (given["input_catalog_path"], hipscat_catalog):
        args = kind(**{**given, "input_catalog_path": catalog})
        pixels = {(pixel.order, pixel.pixel) for pixel in args.catalog.get_healpix_pixels()}
        empty = next((3, pixel) for pixel in range(768) if not overlaps((3, pixel), pixels))
        with pytest.raises(ArgumentError, match=r"debug_filter_pixel_list .* overlaps no partition"):
            kind(**{**given, "input_catalog_path": catalog}, debug_filter_pixel_list=[HealpixPixel(*empty)])


def overlaps(pixel: tuple[int, int], others: set[tuple[int, int]]) -> bool:
    """Whether a pixel is within one of some pixels, or holds one."""
    order, number = pixel
    return any(
        number >> 2 * (order - other_order) == other if other_order <= order
        else other >> 2 * (other_order - order) == number
        for other_order, other in others
    )  # fmt: skip


def test_pixels_of_a_hipscat_catalog(hipscat_catalog: Path, given: dict[str, object]) -> None:
    args = HipscatImportArguments(**{**given, "input_catalog_path": hipscat_catalog})
    pixels = [(pixel.order, pixel.pixel) for pixel in args.catalog.get_healpix_pixels()]
    assert sorted(pixels) == sorted(MIXED_PARTITIONS)
    assert (
        args.catalog.catalog_name
        == json.loads((hipscat_catalog / "catalog_info.json").read_text())["catalog_name"]
    )
    assert args.catalog.catalog_path == hipscat_catalog
    args.debug_filter_pixel_list = pixels[:1]
    assert [(pixel.order, pixel.pixel) for pixel in args.catalog.get_healpix_pixels()] == pixels[:1]


def test_the_properties_of_a_hats_margin(given: dict[str, object]) -> None:
    args = HatsImportArguments(**given, margin_threshold=12.5, addl_hats_properties={"obs_regime": "Optical"})
    properties = args.to_table_properties(131, 3, 0.123456789)
    said = properties.model_dump(by_alias=True, exclude_none=True)
    assert said.pop("hats_builder").startswith("skymargin v")
    assert said.pop("hats_creation_date")
    assert said == {
        "obs_collection": "margin",
        "dataproduct_type": "margin",
        "hats_nrows": 131,
        "hats_col_ra": "ra",
        "hats_col_dec": "dec",
        "hats_col_healpix": "_healpix_29",
        "hats_col_healpix_order": 29,
        "hats_primary_table_url": given["input_catalog_path"],
        "hats_margin_threshold": 12.5,
        "hats_order": 3,
        "moc_sky_fraction": 0.12346,
        "hats_npix_suffix": ".parquet",
        "hats_estsize": 0,
        "hats_release_date": "2025-08-22",
        "hats_version": "v1.0",
        "obs_regime": "Optical",
    }
    pipeline(args)
    assert args.extra_property_dict()["hats_estsize"] > 0


def test_the_metadata_and_provenance_of_a_hipscat_margin(
    hipscat_catalog: Path, given: dict[str, object], tmp_path: Path
) -> None:
    args = HipscatImportArguments(
        **{**given, "input_catalog_path": str(hipscat_catalog)},
        margin_threshold=12.5,
        tmp_dir=tmp_path / "tmp",
    )
    info = args.to_catalog_info(131)
    assert (info.catalog_name, info.catalog_type, info.total_rows) == ("margin", "margin", 131)
    assert (info.ra_column, info.dec_column, info.epoch) == ("ra", "dec", "J2015.5")
    assert (info.primary_catalog, info.margin_threshold) == (str(hipscat_catalog), 12.5)
    provenance = args.provenance_info()
    assert provenance.pop("version")
    assert json.loads(json.dumps(provenance)) == {
        "tool_name": "skymargin",
        "runtime_args": {
            "catalog_name": "margin",
            "output_path": given["output_path"],
            "output_artifact_name": "margin",
            "tmp_dir": str(tmp_path / "tmp"),
            "dask_tmp": "",
            "dask_n_workers": 1,
            "dask_threads_per_worker": 1,
            "catalog_path": f"{given['output_path']}/margin",
            "tmp_path": str(tmp_path / "tmp" / "margin" / "intermediate"),
            "input_catalog_path": str(hipscat_catalog),
            "margin_threshold": 12.5,
            "margin_order": 13,
            "debug_filter_pixel_list": [],
        },
    }


@BOTH
def test_the_folders_of_intermediate_files(kind: Kind, given: dict[str, object], tmp_path: Path) -> None:
    """None of them is a folder of the user's: scripts remove them."""
    out = Path(str(given["output_path"]))
    for args in (kind(**given), kind(**given, tmp_dir=str(out))):
        assert (Path(args.tmp_path), args.tmp_base_path) == (out / "margin" / "intermediate", None)
    dask = kind(**given, dask_tmp=tmp_path / "dask")
    assert Path(dask.tmp_path) == tmp_path / "dask" / "margin" / "intermediate"
    both = kind(**given, dask_tmp=tmp_path / "dask", tmp_dir=tmp_path / "tmp")
    assert both.tmp_base_path == tmp_path / "tmp" / "margin"


def test_paths_of_hipscat_import_are_text(given: dict[str, object], hipscat_catalog: Path) -> None:
    """Scripts of hipscat-import join them with `+`, and compare them with those of its library."""
    from hipscat.catalog.healpix_dataset.healpix_dataset import HealpixDataset

    args = HipscatImportArguments(**{**given, "input_catalog_path": hipscat_catalog}, margin_threshold=60.0)
    assert (type(args.catalog_path), args.catalog_path) == (str, f"{given['output_path']}/margin")
    assert (type(args.tmp_path), args.tmp_path) == (str, f"{given['output_path']}/margin/intermediate")
    report = pipeline(args)
    assert report.catalog_path == args.catalog_path
    assert HealpixDataset.read_from_hipscat(args.catalog_path).catalog_path == args.catalog_path
    # The output is compared with the catalog as a path.
    with pytest.raises(OutputExistsError, match="overlap"):
        HipscatImportArguments(hipscat_catalog.parent, "stars", input_catalog_path=hipscat_catalog)


def test_what_else_a_hipscat_catalog_has_is_read_by_its_library(
    given: dict[str, object], hipscat_catalog: Path
) -> None:
    args = HipscatImportArguments(**{**given, "input_catalog_path": hipscat_catalog})
    for made in (copy.copy(args.catalog), pickle.loads(pickle.dumps(args.catalog))):
        assert made.catalog_name == args.catalog.catalog_name
    assert args.catalog.partition_info.get_highest_order() == max(order for order, _ in MIXED_PARTITIONS)
    whole = {(pixel.order, pixel.pixel) for pixel in args.catalog.partition_info.get_healpix_pixels()}
    assert whole == set(MIXED_PARTITIONS)
    empty = [(pixel.order, pixel.pixel) for pixel in args.catalog.generate_negative_tree_pixels()]
    assert empty == [pixel for pixel in empty if not overlaps(pixel, whole)]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = args.catalog.nothing
    with pytest.raises(AttributeError, match="no attribute '_nothing'"):
        _ = args.catalog._nothing
    args.debug_filter_pixel_list = [MIXED_PARTITIONS[0]]
    assert [(pixel.order, pixel.pixel) for pixel in args.catalog.partition_info.get_healpix_pixels()] == [
        MIXED_PARTITIONS[0]
    ]


def test_what_plans_of_hats_import_take(given: dict[str, object], tmp_path: Path) -> None:
    """The keywords are those of hats-import 0.11; they are the fields of its `PipelineResumePlan`."""
    args = HatsImportArguments(**given, dask_tmp=tmp_path / "dask", resume=False)
    assert args.resume_kwargs_dict() == {
        "resume": False,
        "progress_bar": False,
        "simple_progress_bar": False,
        "tqdm_kwargs": args.tqdm_kwargs,
        "tmp_base_path": tmp_path / "dask" / "margin",
        "tmp_path": tmp_path / "dask" / "margin" / "intermediate",
        "delete_resume_log_files": True,
        "delete_intermediate_parquet_files": True,
    }
    args.resume_tmp = tmp_path / "progress"
    assert args.resume_kwargs_dict()["tmp_path"] == tmp_path / "progress" / "margin"


def test_the_catalog_that_scripts_read_is_restricted_like_the_run(given: dict[str, object]) -> None:
    pixel = HatsImportArguments(**given).catalog.get_healpix_pixels()[0]
    args = HatsImportArguments(**given, debug_filter_pixel_list=[pixel])
    assert args.catalog.get_healpix_pixels() == [pixel]


def test_the_info_of_a_hipscat_catalog(tmp_path: Path) -> None:
    (tmp_path / "catalog_info.json").write_text('{"ra_column": "a", "dec_column": "d", "total_rows": 131}')
    info = library_catalog(tmp_path, []).catalog_info
    assert (info.ra_column, info.dec_column, info.total_rows) == ("a", "d", 131)
