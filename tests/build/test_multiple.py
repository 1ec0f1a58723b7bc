"""Several margins in one run: each equals that of a run of its own, and all appear or none."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster
from upath import UPath

from skymargin import pipeline, pipeline_with_client
from skymargin.build.checkpoint.lock import locked
from skymargin.build.pipeline import make_with_client
from skymargin.cli.main import main
from skymargin.errors import (
    ArgumentError,
    OutputExistsError,
    OutputInUseError,
    PartitionReadError,
    StorageError,
)
from tests.support.catalogs import (
    MIXED_PARTITIONS,
    Layout,
    Pixel,
    Sky,
    files_of,
    ids_of,
    nothing_left,
    sky_at,
    sky_near_edges,
    write_catalog,
)
from tests.support.hipscat_catalogs import write_hipscat_catalog
from tests.support.killing import Moment, run_killed_at
from tests.support.limits import limits
from tests.support.processes import run
from tests.support.workspace import Workspace

THRESHOLDS_ARCSEC = (60.0, 3_600.0, 1.0)
NAMES = ["margin_1", "margin_3600", "margin_60"]
# Rows from hundredths of an arcsecond to degrees away from edges.
_NEAR, _FAR = (sky_near_edges(MIXED_PARTITIONS, 700, reach, seed=31) for reach in (20.0, 3_600.0))
SKY = Sky(
    MIXED_PARTITIONS,
    *(
        np.concatenate([getattr(_NEAR, name), getattr(_FAR, name)])
        for name in ("ra_deg", "dec_deg", "own_order", "own_pixel")
    ),
)
Alone = Callable[..., dict[str, bytes]]


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("primary")
    write_catalog(folder / "hats", SKY, Layout(row_group_rows=40))
    write_hipscat_catalog(folder / "hipscat", SKY)
    return {"hats": folder / "hats", "hipscat": folder / "hipscat"}


@pytest.fixture
def work(catalogs: dict[str, Path], tmp_path: Path) -> Workspace:
    """The HATS catalog, not to be changed, and a folder for margins."""
    return Workspace(catalogs["hats"], tmp_path / "out", 60.0)


@pytest.fixture(scope="module")
def alone(catalogs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """Return what a run of its own makes."""
    made: dict[tuple[str, float], dict[str, bytes]] = {}

    def of(threshold_arcsec: float, format_name: str = "hats") -> dict[str, bytes]:
        key = (format_name, threshold_arcsec)
        if key not in made:
            single = Workspace(catalogs[format_name], tmp_path_factory.mktemp("alone"), threshold_arcsec)
            single.make(f"margin_{threshold_arcsec:g}")
            made[key] = single.contents(f"margin_{threshold_arcsec:g}")
        return made[key]

    return of


def assert_all_made(work: Workspace, alone: Alone) -> None:
    """Assert that the three margins are those of runs of their own, and nothing else is there."""
    assert work.names == NAMES
    for threshold in THRESHOLDS_ARCSEC:
        assert work.contents(f"margin_{threshold:g}") == alone(threshold)


@pytest.mark.parametrize("task_bytes", [1, 4 << 20], ids=["small tasks", "large tasks"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("format_name", ["hats", "hipscat"])
def test_each_equals_that_of_a_run_of_its_own(
    format_name: str,
    threads: int,
    task_bytes: int,
    catalogs: dict[str, Path],
    work: Workspace,
    alone: Alone,
) -> None:
    expected = {threshold: alone(threshold, format_name) for threshold in THRESHOLDS_ARCSEC}
    work = dataclasses.replace(work, catalog=catalogs[format_name])
    with limits(smallest_task_bytes=task_bytes):
        reports = work.make_several(THRESHOLDS_ARCSEC, dask_threads_per_worker=threads)
    assert work.names == NAMES
    counts = []
    for threshold, report in zip(THRESHOLDS_ARCSEC, reports, strict=True):
        path = work.output / f"margin_{threshold:g}"
        assert work.contents(path.name) == expected[threshold]
        margins = SKY.margins(threshold)
        assert ids_of(path) == margins
        assert (report.catalog_path, report.margin_threshold_arcsec) == (str(path), threshold)
        assert (report.rows, report.partitions) == (sum(map(len, margins.values())), len(margins))
        assert report.primary_rows == len(SKY)
        counts.append(report.rows)
    middle, most, fewest = counts
    assert 50 < fewest < middle < most


def test_the_catalog_is_read_once(work: Workspace, mapped: list[Pixel]) -> None:
    reports = work.make_several(THRESHOLDS_ARCSEC)
    assert sorted(mapped) == sorted(MIXED_PARTITIONS)
    assert len({report.bytes_read for report in reports}) == 1
    assert reports[0].bytes_read > 0


def test_sparse_rows_in_small_row_groups(work: Workspace, tmp_path: Path) -> None:
    """Row groups and compression are those of the margin's own rows, however few of the shards' these are."""
    options = {"row_group_kwargs": {"num_rows": 3}, "write_table_kwargs": {"compression": "gzip"}}
    work.make_several((1.0, 20_000.0), **options)
    single = dataclasses.replace(work, output=tmp_path / "alone")
    single.make("margin_1", margin_threshold=1.0, **options)
    assert work.contents("margin_1") == single.contents("margin_1")
    footers = [pq.read_metadata(file) for file in files_of(work.output / "margin_1").values()]
    assert max(footer.row_group(0).num_rows for footer in footers) == 3


def test_each_has_its_own_options(work: Workspace, tmp_path: Path) -> None:
    options: dict[str, dict[str, Any]] = {
        "plain": {},
        "folders": {"npix_suffix": "/", "create_metadata": False},
        "gzip": {
            "margin_threshold": 1.0,
            "write_table_kwargs": {"compression": "gzip"},
            "row_group_kwargs": {"subtile_order_delta": 2},
            "create_thumbnail": True,
            "addl_hats_properties": {"hats_cols_default": "id ra dec"},
        },
    }
    places = {name: dataclasses.replace(work, output=tmp_path / name) for name in options}
    reports = pipeline([places[name].arguments(name, **more) for name, more in options.items()])
    assert [report.catalog_path for report in reports] == [str(tmp_path / name / name) for name in options]
    single = dataclasses.replace(work, output=tmp_path / "alone")
    for name, more in options.items():
        single.make(name, **more)
        assert places[name].contents(name) == single.contents(name)
        assert places[name].names == [name]


@pytest.mark.parametrize("write", [write_catalog, write_hipscat_catalog])
def test_a_smaller_margin_may_be_empty(write: Callable[..., None], work: Workspace, tmp_path: Path) -> None:
    # One row 36 arcsec beyond the edge between two partitions, another far inside.
    write(tmp_path / "stars", sky_at(((0, 4), (0, 7)), np.array([0.0, 270.0]), np.array([0.0, 0.0])))
    work = dataclasses.replace(work, catalog=tmp_path / "stars")
    small, wide = work.make_several((1e-3, 324_000.0))
    assert small.rows == 0
    assert small.empty_reason == (
        "because none of the catalog's 2 rows lies within 0.001 arcsec of a pixel other than that of its own partition"
    )
    assert wide.rows > 0
    assert wide.empty_reason is None
    single = dataclasses.replace(work, output=tmp_path / "alone")
    for threshold in (1e-3, 324_000.0):
        single.make(f"margin_{threshold:g}", margin_threshold=threshold)
        assert work.contents(f"margin_{threshold:g}", 3) == single.contents(f"margin_{threshold:g}", 3)


def test_a_list_of_one_equals_the_plain_call(work: Workspace, alone: Alone, tmp_path: Path) -> None:
    (report,) = work.make_several((60.0,))
    assert work.contents("margin_60") == alone(60.0)
    plain = dataclasses.replace(work, output=tmp_path / "plain").make("margin_60")
    assert report == dataclasses.replace(plain, catalog_path=report.catalog_path, seconds=report.seconds)
    assert pipeline([work.arguments("coarse", fine_filtering=False)])[0].rows > 0


def test_with_a_client(work: Workspace, alone: Alone) -> None:
    several = [
        work.arguments(f"margin_{threshold:g}", margin_threshold=threshold) for threshold in THRESHOLDS_ARCSEC
    ]
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        reports = pipeline_with_client(several, client)
        assert [report.margin_threshold_arcsec for report in reports] == [*THRESHOLDS_ARCSEC]
        assert_all_made(work, alone)
        # As hats-import's function is called.
        make_with_client([dataclasses.replace(args, overwrite=True) for args in several], client)
        assert_all_made(work, alone)


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (
            {"fine_filtering": False},
            r"args\[1\] \(b\) has fine_filtering=False.* a coarse one needs a run of its own",
        ),
        ({"dask_n_workers": 2}, r"dask_n_workers differs: 1 in args\[0\] and 2 in args\[1\]"),
        ({"dask_threads_per_worker": 3}, r"dask_threads_per_worker differs: 1 in args\[0\] and 3 in args"),
        ({"memory_limit": "2GB"}, r"memory_limit differs: None in args\[0\] and '2GB' in args\[1\]"),
        ({"resume": False}, r"resume differs: True in args\[0\] and False in args\[1\]"),
        ({"margin_order": 9}, r"margin_order differs: -1 in args\[0\] and 9 in args\[1\]"),
        ({"progress_bar": True}, r"progress_bar differs: False in args\[0\] and True in args\[1\]"),
        ({"tmp_dir": "elsewhere"}, r"tmp_dir differs: None in args\[0\] and .*elsewhere.* in args\[1\]"),
        (
            {"debug_filter_pixel_list": [(0, 1)]},
            r"debug_filter_pixel_list differs: .*\(0, 1\).* in args\[1\]",
        ),
        ({"input_catalog_path": "hipscat"}, r"input_catalog_path differs: '.*hats' in .* and '.*hipscat' in"),
    ],
)
def test_what_cannot_be_one_run(
    others: dict[str, Any],
    message: str,
    catalogs: dict[str, Path],
    work: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "input_catalog_path" in others:
        others = {"input_catalog_path": catalogs["hipscat"]}
    second = dataclasses.replace(work.arguments("b"), **others)
    with pytest.raises(ArgumentError, match=message):
        pipeline([work.arguments("a"), second])
    assert work.names == []


def test_credentials_that_differ_are_not_shown(tmp_path: Path) -> None:
    UPath("memory://several/properties").write_text("")
    work = Workspace("memory://several", tmp_path, 60.0)
    several = [work.arguments(name, input_storage_options={"token": f"secret {name}"}) for name in "ab"]
    with pytest.raises(
        ArgumentError, match=r"input_storage_options differs in args\[0\] and args\[1\]"
    ) as caught:
        pipeline(several)
    assert "secret" not in str(caught.value)


def test_outputs_must_be_apart(work: Workspace) -> None:
    first = work.arguments("a")
    same = work.arguments("a", output_path=work.output / ".." / "out", margin_threshold=5.0)
    with pytest.raises(
        ArgumentError, match=r"args\[0\] \(60 arcsec\) and args\[1\] \(5 arcsec\) have the same"
    ):
        pipeline([first, same])
    inside = work.arguments("b", output_path=work.output / "a")
    with pytest.raises(ArgumentError, match=r"args\[0\], .*out/a, and args\[1\], .*out/a/b, overlap"):
        pipeline([first, inside])
    assert work.names == []


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "args is an empty list"),
        (["margin"], r"args\[0\] must be MarginCacheArguments, not str"),
        ("margin", "must be MarginCacheArguments, or a list of them, not str"),
        (5, "must be MarginCacheArguments, or a list of them, not int"),
    ],
)
def test_what_is_no_list_of_arguments(given: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        pipeline(given)


def test_no_margin_is_made_when_an_output_exists(work: Workspace) -> None:
    several = [work.arguments(name) for name in "ab"]
    (work.output / "b").mkdir(parents=True)
    (work.output / "b" / "kept").touch()
    with pytest.raises(OutputExistsError, match="b exists already"):
        pipeline(several)
    assert work.names == ["b"]


def test_no_margin_is_made_when_the_catalog_is_at_fault(tmp_path: Path) -> None:
    damaged = Workspace(tmp_path / "damaged", tmp_path / "out", 60.0)
    write_catalog(tmp_path / "damaged", SKY)
    file = damaged.file_of[0, 7]
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(PartitionReadError, match="Npix=7"):
        damaged.make_several((5.0, 100.0))
    assert nothing_left(tmp_path / "out")


def test_every_output_is_locked(work: Workspace) -> None:
    several = [
        work.arguments(name, margin_threshold=threshold) for name, threshold in (("a", 5.0), ("b", 100.0))
    ]
    for args in several:
        with (
            locked(args.run_paths.locks, "it"),
            pytest.raises(OutputInUseError, match="another run is making"),
        ):
            pipeline(several)
        assert work.names == []


# The smallest batches, so that there is much to be cut off; the widest margin comes first.
KILLED = [
    Moment("skymargin.build.checkpoint.state:RunState.add_mapped", 12),
    Moment("skymargin.build.checkpoint.state:RunState.add_reduced", 50),
    Moment("skymargin.catalogs.hats:write_margin_properties", 2, after=True),
    Moment("skymargin.build.checkpoint.state:RunState.record_made", after=True),
    Moment("skymargin.build.checkpoint.pending:PendingMargin.publish", 1, after=True),
    Moment("skymargin.build.checkpoint.pending:PendingMargin.publish", 3),
    Moment("skymargin.build.checkpoint.state:RunState.clean_up"),
]
# Margins that have their places then.
PLACED = dict(zip(KILLED[4:], (1, 2, 3), strict=True))


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize("moment", KILLED, ids=str)
def test_a_killed_run_is_resumed_to_the_same_bytes(
    moment: Moment, work: Workspace, alone: Alone, mapped: list[Pixel]
) -> None:
    run_killed_at(moment, work.catalog, work.output, THRESHOLDS_ARCSEC)
    placed = [name for name in NAMES if name in work.names]
    assert len(placed) == PLACED.get(moment, 0)
    for name in placed:
        assert work.contents(name) == alone(float(name.removeprefix("margin_")))
    mapped.clear()
    # In another order, with another number of threads: it is the same run.
    ascending = tuple(sorted(THRESHOLDS_ARCSEC))
    reports = work.make_several(ascending, dask_threads_per_worker=2)
    assert tuple(report.margin_threshold_arcsec for report in reports) == ascending
    assert (0 < len(mapped) < len(MIXED_PARTITIONS)) if moment == KILLED[0] else not mapped
    assert_all_made(work, alone)


def test_a_killed_run_is_resumed_by_other_spellings_of_its_paths(
    work: Workspace, alone: Alone, mapped: list[Pixel], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_killed_at(KILLED[4], work.catalog, work.output, THRESHOLDS_ARCSEC)
    monkeypatch.chdir(work.output.parent)
    (work.output.parent / "link").symlink_to("out")
    linked = dataclasses.replace(work, output=Path("link"))
    reports = linked.make_several(THRESHOLDS_ARCSEC, tmp_dir="out")
    assert [report.catalog_path for report in reports] == [
        "link/margin_60",
        "link/margin_3600",
        "link/margin_1",
    ]
    assert not mapped
    assert_all_made(work, alone)


@pytest.mark.usefixtures("small_tasks")
@pytest.mark.parametrize("moment", [KILLED[1], KILLED[4]], ids=str)
@pytest.mark.parametrize("threshold_arcsec", [1.0, 3_600.0])
def test_a_killed_run_is_followed_by_one_of_a_single_margin(
    threshold_arcsec: float, moment: Moment, work: Workspace, alone: Alone
) -> None:
    """What one margin's own run removes is not taken for done when the run of several is resumed."""
    run_killed_at(moment, work.catalog, work.output, THRESHOLDS_ARCSEC)
    name = f"margin_{threshold_arcsec:g}"
    work.make(name, margin_threshold=threshold_arcsec, overwrite=True)
    assert work.contents(name) == alone(threshold_arcsec)
    with pytest.raises(OutputExistsError):
        work.make_several(THRESHOLDS_ARCSEC)
    work.make_several(THRESHOLDS_ARCSEC, overwrite=True)
    assert_all_made(work, alone)


def test_a_killed_single_run_is_followed_by_one_of_several(
    work: Workspace, alone: Alone, warnings_logged: Callable[[], list[str]]
) -> None:
    moment = Moment("skymargin.build.checkpoint.state:RunState.add_mapped", 1, after=True)
    for threshold in (1.0, 3_600.0):
        run_killed_at(moment, work.catalog, work.output, (threshold,))
    work.make_several(THRESHOLDS_ARCSEC)
    wide, narrow = warnings_logged()
    assert "margin_3600: " in wide
    assert "because the margins that are made together changed" in wide
    assert "margin_1: " in narrow
    assert "because it is made together with others now" in narrow
    assert_all_made(work, alone)


def test_a_move_that_fails_leaves_complete_margins(work: Workspace, alone: Alone) -> None:
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if Path(target).name == "margin_60":
            raise OSError("no space left")
        return original(self, target)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        with pytest.raises(StorageError, match="margin_60 cannot be written: no space left") as caught:
            work.make_several(THRESHOLDS_ARCSEC)
    assert any("the same call goes on" in note for note in caught.value.__notes__)
    assert [name for name in work.names if "skymargin" not in name] == ["margin_3600"]
    assert work.contents("margin_3600") == alone(3_600.0)
    work.make_several(THRESHOLDS_ARCSEC)
    assert_all_made(work, alone)


def test_on_the_command_line(work: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["build", str(work.catalog), "-o", str(work.output)]
    two = [*command, "-t", "1", "--threshold", "60"]
    assert main([*two, "--name", "margin"]) == 2
    assert "--name can be used with one threshold only" in capsys.readouterr().err
    assert work.names == []
    assert main([*two, "--json", "--no-progress"]) == 0
    reports = json.loads(capsys.readouterr().out)["reports"]
    assert work.names == ["hats_1arcs", "hats_60arcs"]
    assert [report["catalog_path"] for report in reports] == [str(work.output / name) for name in work.names]
    assert main([*command, "-t", "5", "-t", "5.0"]) == 1
    assert "have the same output" in capsys.readouterr().err


def test_lines_at_the_end(work: Workspace) -> None:
    command = [sys.executable, "-m", "skymargin", "build", str(work.catalog), "-o", str(work.output)]
    done = run([*command, "-t", "60", "-t", "5"])
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{work.output / 'hats_60arcs'}: ")
    assert second.startswith(f"{work.output / 'hats_5arcs'}: ")
    assert done.stderr == ""


def test_a_catalog_without_rows(tmp_path: Path) -> None:
    types = {"id": pa.int64(), "ra": pa.float64(), "dec": pa.float64(), "_healpix_29": pa.int64()}
    empty = Workspace(tmp_path / "stars", tmp_path / "out", 60.0)
    write_catalog(tmp_path / "stars", SKY.take(np.array([], int)), table=pa.schema(types).empty_table())
    reports = empty.make_several((5.0, 100.0))
    assert [report.empty_reason for report in reports] == ["because the catalog has no rows"] * 2
