"""Several margins in one run: each equals that of a run of its own, and all appear or none."""

from __future__ import annotations

import dataclasses
import json
import subprocess
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

from skymargin import MarginCacheArguments, pipeline, pipeline_with_client
from skymargin.build.checkpoint.lock import locked
from skymargin.build.stages import map as map_stage
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
    Sky,
    contents,
    files_of,
    ids_of,
    make_margin,
    make_margins,
    nothing_left,
    sky_near_edges,
    write_catalog,
)
from tests.support.hipscat_catalogs import hipscat_ids, write_hipscat_catalog
from tests.support.killing import Moment, run_killed_at

THRESHOLDS_ARCSEC = (60.0, 3_600.0, 1.0)


@pytest.fixture(scope="module")
def sky() -> Sky:
    """Rows from hundredths of an arcsecond to degrees away from edges."""
    near, far = (sky_near_edges(MIXED_PARTITIONS, 700, reach, seed=31) for reach in (20.0, 3_600.0))
    arrays = {
        one.name: np.concatenate([getattr(near, one.name), getattr(far, one.name)])
        for one in dataclasses.fields(Sky)
        if one.name != "partitions"
    }
    return Sky(MIXED_PARTITIONS, **arrays)


@pytest.fixture(scope="module")
def catalogs(sky: Sky, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("primary")
    write_catalog(folder / "hats", sky, Layout(row_group_rows=40))
    write_hipscat_catalog(folder / "hipscat", sky)
    return {"hats": folder / "hats", "hipscat": folder / "hipscat"}


@pytest.fixture(scope="module")
def alone(
    catalogs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, bytes]]:
    """Return what a run of its own makes."""
    made: dict[tuple[str, float], dict[str, bytes]] = {}

    def of(format_name: str, threshold_arcsec: float) -> dict[str, bytes]:
        key = (format_name, threshold_arcsec)
        if key not in made:
            output, name = tmp_path_factory.mktemp("alone"), f"margin_{threshold_arcsec:g}"
            make_margin(catalogs[format_name], output, threshold_arcsec, name)
            made[key] = contents(output / name)
        return made[key]

    return of


def arguments(catalog: Path | str, output: Path, name: str, **others: Any) -> MarginCacheArguments:
    return MarginCacheArguments(
        output,
        name,
        input_catalog_path=catalog,
        **{"progress_bar": False, "margin_threshold": 60.0, **others},
    )


def names_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("task_bytes", [1, 4 << 20], ids=["small tasks", "large tasks"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("format_name", ["hats", "hipscat"])
def test_each_equals_that_of_a_run_of_its_own(
    format_name: str,
    threads: int,
    task_bytes: int,
    sky: Sky,
    catalogs: dict[str, Path],
    alone: Callable[..., dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = {threshold: alone(format_name, threshold) for threshold in THRESHOLDS_ARCSEC}
    monkeypatch.setattr("skymargin.build.stages.plan._SMALLEST_TASK_BYTES", task_bytes)
    reports = make_margins(
        catalogs[format_name], tmp_path, THRESHOLDS_ARCSEC, dask_threads_per_worker=threads
    )
    assert names_in(tmp_path) == ["margin_1", "margin_3600", "margin_60"]
    counts = []
    for threshold, report in zip(THRESHOLDS_ARCSEC, reports, strict=True):
        path = tmp_path / f"margin_{threshold:g}"
        assert contents(path) == expected[threshold]
        by_brute_force = sky.margins(threshold)
        assert (ids_of if format_name == "hats" else hipscat_ids)(path) == by_brute_force
        assert report.catalog_path == str(path)
        assert report.margin_threshold_arcsec == threshold
        assert (report.rows, report.partitions) == (
            sum(map(len, by_brute_force.values())),
            len(by_brute_force),
        )
        assert report.primary_rows == len(sky)
        counts.append(report.rows)
    middle, most, fewest = counts
    assert 50 < fewest < middle < most


def test_the_catalog_is_read_once(
    catalogs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapped = []
    original = map_stage._map_partition

    def noted(*args: Any) -> None:
        mapped.append(args[1:3])
        original(*args)

    monkeypatch.setattr(map_stage, "_map_partition", noted)
    reports = make_margins(catalogs["hats"], tmp_path, THRESHOLDS_ARCSEC)
    assert sorted(mapped) == sorted(MIXED_PARTITIONS)
    assert len({report.bytes_read for report in reports}) == 1
    assert reports[0].bytes_read > 0


def test_sparse_rows_in_small_row_groups(catalogs: dict[str, Path], tmp_path: Path) -> None:
    """Row groups and compression are those of the margin's own rows, however few of the shards' these are."""
    options = {
        "row_group_kwargs": {"num_rows": 3},
        "write_table_kwargs": {"compression": "gzip"},
    }
    make_margins(catalogs["hats"], tmp_path, (1.0, 20_000.0), **options)
    make_margin(catalogs["hats"], tmp_path / "alone", 1.0, "margin_1", **options)
    assert contents(tmp_path / "margin_1") == contents(tmp_path / "alone" / "margin_1")
    groups = [
        pq.read_metadata(file).row_group(0).num_rows for file in files_of(tmp_path / "margin_1").values()
    ]
    assert max(groups) == 3


def test_each_has_its_own_options(catalogs: dict[str, Path], tmp_path: Path) -> None:
    wanted: dict[str, dict[str, Any]] = {
        "plain": {"margin_threshold": 60.0},
        "folders": {"margin_threshold": 60.0, "npix_suffix": "/", "create_metadata": False},
        "gzip": {
            "margin_threshold": 1.0,
            "write_table_kwargs": {"compression": "gzip"},
            "row_group_kwargs": {"subtile_order_delta": 2},
            "create_thumbnail": True,
            "addl_hats_properties": {"hats_cols_default": "id ra dec"},
        },
    }
    several = [arguments(catalogs["hats"], tmp_path / name, name, **more) for name, more in wanted.items()]
    reports = pipeline(several)
    assert [report.catalog_path for report in reports] == [str(tmp_path / name / name) for name in wanted]
    for name, more in wanted.items():
        pipeline(arguments(catalogs["hats"], tmp_path / "alone", name, **more))
        assert contents(tmp_path / name / name) == contents(tmp_path / "alone" / name)
        assert names_in(tmp_path / name) == [name]


@pytest.mark.parametrize("format_name", ["hats", "hipscat"])
def test_a_smaller_margin_may_be_empty(format_name: str, tmp_path: Path) -> None:
    # One row 36 arcsec beyond the edge between two partitions, another far inside.
    sky = Sky(
        ((0, 4), (0, 7)),
        *(np.array(values) for values in ([0.0, 270.0], [0.0, 0.0])),
        *(np.array(values, dtype=kind) for values, kind in (([0, 0], np.uint8), ([4, 7], np.uint64))),
    )
    write = write_catalog if format_name == "hats" else write_hipscat_catalog
    write(tmp_path / "stars", sky)
    wide = 324_000.0
    reports = make_margins(tmp_path / "stars", tmp_path / "out", (1e-3, wide))
    assert reports[0].rows == 0
    assert reports[0].empty_reason == (
        "because none of the catalog's 2 rows lies within 0.001 arcsec of a pixel other than that of its own partition"
    )
    assert reports[1].rows > 0
    assert reports[1].empty_reason is None
    for threshold in (1e-3, wide):
        name = f"margin_{threshold:g}"
        make_margin(tmp_path / "stars", tmp_path / "alone", threshold, name)
        assert contents(tmp_path / "out" / name, 3) == contents(tmp_path / "alone" / name, 3)


def test_a_list_of_one_equals_the_plain_call(
    catalogs: dict[str, Path], alone: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    (report,) = make_margins(catalogs["hats"], tmp_path, (60.0,))
    assert contents(tmp_path / "margin_60") == alone("hats", 60.0)
    plain = make_margin(catalogs["hats"], tmp_path / "plain", 60.0, "margin_60")
    same = dataclasses.replace(plain, catalog_path=report.catalog_path, seconds=report.seconds)
    assert report == same
    coarse = arguments(catalogs["hats"], tmp_path, "coarse", fine_filtering=False)
    assert pipeline([coarse])[0].rows > 0


def test_with_a_client(
    catalogs: dict[str, Path], alone: Callable[..., dict[str, bytes]], tmp_path: Path
) -> None:
    several = [
        arguments(catalogs["hats"], tmp_path, f"margin_{threshold:g}", margin_threshold=threshold)
        for threshold in (1.0, 60.0)
    ]
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        reports = pipeline_with_client(several, client)
    assert [report.margin_threshold_arcsec for report in reports] == [1.0, 60.0]
    for threshold in (1.0, 60.0):
        assert contents(tmp_path / f"margin_{threshold:g}") == alone("hats", threshold)


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
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "input_catalog_path" in others:
        others = {"input_catalog_path": catalogs["hipscat"]}
    first = arguments(catalogs["hats"], tmp_path / "out", "a")
    second = arguments(catalogs["hats"], tmp_path / "out", "b")
    second = dataclasses.replace(second, **others)
    with pytest.raises(ArgumentError, match=message):
        pipeline([first, second])
    assert nothing_left(tmp_path / "out")


def test_credentials_that_differ_are_not_shown(tmp_path: Path) -> None:
    UPath("memory://several/properties").write_text("")
    first, second = (
        arguments("memory://several", tmp_path, name, input_storage_options={"token": f"secret {name}"})
        for name in ("a", "b")
    )
    with pytest.raises(
        ArgumentError, match=r"input_storage_options differs in args\[0\] and args\[1\]"
    ) as caught:
        pipeline([first, second])
    assert "secret" not in str(caught.value)


def test_outputs_must_be_apart(catalogs: dict[str, Path], tmp_path: Path) -> None:
    first = arguments(catalogs["hats"], tmp_path / "out", "a")
    same = arguments(catalogs["hats"], tmp_path / "out" / ".." / "out", "a", margin_threshold=5.0)
    with pytest.raises(
        ArgumentError, match=r"args\[0\] \(60 arcsec\) and args\[1\] \(5 arcsec\) have the same"
    ):
        pipeline([first, same])
    inside = arguments(catalogs["hats"], tmp_path / "out" / "a", "b")
    with pytest.raises(ArgumentError, match=r"args\[0\], .*out/a, and args\[1\], .*out/a/b, overlap"):
        pipeline([first, inside])
    assert nothing_left(tmp_path / "out")


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


def test_none_is_made_when_one_output_is_there(catalogs: dict[str, Path], tmp_path: Path) -> None:
    several = [arguments(catalogs["hats"], tmp_path, name) for name in ("a", "b")]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "kept").touch()
    with pytest.raises(OutputExistsError, match="b exists already"):
        pipeline(several)
    assert names_in(tmp_path) == ["b"]


def test_none_is_made_when_the_catalog_is_at_fault(tmp_path: Path, sky: Sky) -> None:
    write_catalog(tmp_path / "damaged", sky)
    file = files_of(tmp_path / "damaged")[0, 7]
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(PartitionReadError, match="Npix=7"):
        make_margins(tmp_path / "damaged", tmp_path / "out", (5.0, 100.0))
    assert nothing_left(tmp_path / "out")


def test_every_output_is_locked(catalogs: dict[str, Path], tmp_path: Path) -> None:
    several = [
        arguments(catalogs["hats"], tmp_path / "out", name, margin_threshold=threshold)
        for name, threshold in (("a", 5.0), ("b", 100.0))
    ]
    for args in several:
        with (
            locked(args.run_paths.locks, "it"),
            pytest.raises(OutputInUseError, match="another run is making"),
        ):
            pipeline(several)
        assert nothing_left(tmp_path / "out")


# The smallest batches, so that there is much to be cut off; the widest margin comes first.
KILLED = [
    Moment("skymargin.build.checkpoint.state:Progress.add_mapped", 12),
    Moment("skymargin.build.checkpoint.state:Progress.add_reduced", 50),
    Moment("skymargin.catalogs.hats:write_margin_properties", 2, after=True),
    Moment("skymargin.build.checkpoint.state:Progress.record_made", after=True),
    Moment("skymargin.build.checkpoint.publish:Making.place", 1, after=True),
    Moment("skymargin.build.checkpoint.publish:Making.place", 3),
    Moment("skymargin.build.checkpoint.state:Progress.clean_up"),
]
# Margins that have their places then.
PLACED = dict(zip(KILLED[4:], (1, 2, 3), strict=True))


@pytest.mark.parametrize("moment", KILLED, ids=str)
def test_a_killed_run_goes_on_to_the_same_bytes(
    moment: Moment,
    catalogs: dict[str, Path],
    alone: Callable[..., dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = {f"margin_{threshold:g}": alone("hats", threshold) for threshold in THRESHOLDS_ARCSEC}
    monkeypatch.setattr("skymargin.build.stages.plan._SMALLEST_TASK_BYTES", 1)
    run_killed_at(moment, catalogs["hats"], tmp_path / "out", THRESHOLDS_ARCSEC)
    there = [name for name in expected if (tmp_path / "out" / name).exists()]
    assert len(there) == PLACED.get(moment, 0)
    for name in there:
        assert contents(tmp_path / "out" / name) == expected[name]
    mapped = []
    original = map_stage._map_partition
    monkeypatch.setattr(map_stage, "_map_partition", lambda *args: (mapped.append(args), original(*args)))
    # In another order, with another number of threads: it is the same run.
    reports = make_margins(
        catalogs["hats"], tmp_path / "out", sorted(THRESHOLDS_ARCSEC), dask_threads_per_worker=2
    )
    assert [report.margin_threshold_arcsec for report in reports] == sorted(THRESHOLDS_ARCSEC)
    assert names_in(tmp_path / "out") == sorted(expected)
    for name, files in expected.items():
        assert contents(tmp_path / "out" / name) == files
    assert (0 < len(mapped) < len(MIXED_PARTITIONS)) if moment == KILLED[0] else not mapped


@pytest.mark.parametrize("moment", [KILLED[1], KILLED[4]], ids=str)
@pytest.mark.parametrize("threshold_arcsec", [1.0, 3_600.0])
def test_a_killed_run_is_followed_by_one_of_a_single_margin(
    threshold_arcsec: float,
    moment: Moment,
    catalogs: dict[str, Path],
    alone: Callable[..., dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What one margin's own run removes is not taken for done when the run of several goes on."""
    monkeypatch.setattr("skymargin.build.stages.plan._SMALLEST_TASK_BYTES", 1)
    run_killed_at(moment, catalogs["hats"], tmp_path / "out", THRESHOLDS_ARCSEC)
    name = f"margin_{threshold_arcsec:g}"
    make_margin(catalogs["hats"], tmp_path / "out", threshold_arcsec, name, overwrite=True)
    assert contents(tmp_path / "out" / name) == alone("hats", threshold_arcsec)
    with pytest.raises(OutputExistsError):
        make_margins(catalogs["hats"], tmp_path / "out", THRESHOLDS_ARCSEC)
    make_margins(catalogs["hats"], tmp_path / "out", THRESHOLDS_ARCSEC, overwrite=True)
    for threshold in THRESHOLDS_ARCSEC:
        assert contents(tmp_path / "out" / f"margin_{threshold:g}") == alone("hats", threshold)
    assert names_in(tmp_path / "out") == ["margin_1", "margin_3600", "margin_60"]


def test_a_killed_single_run_is_followed_by_one_of_several(
    catalogs: dict[str, Path],
    alone: Callable[..., dict[str, bytes]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    moment = Moment("skymargin.build.checkpoint.state:Progress.add_mapped", 1, after=True)
    for threshold in (1.0, 3_600.0):
        run_killed_at(moment, catalogs["hats"], tmp_path / "out", (threshold,))
    make_margins(catalogs["hats"], tmp_path / "out", THRESHOLDS_ARCSEC)
    told = [record.getMessage() for record in caplog.records if record.name == "skymargin"]
    assert len(told) == 2
    assert "margin_3600: " in told[0]
    assert "because the margins that are made together changed" in told[0]
    assert "margin_1: " in told[1]
    assert "because it is made together with others now" in told[1]
    for threshold in THRESHOLDS_ARCSEC:
        assert contents(tmp_path / "out" / f"margin_{threshold:g}") == alone("hats", threshold)
    assert names_in(tmp_path / "out") == ["margin_1", "margin_3600", "margin_60"]


def test_a_move_that_fails_leaves_complete_margins(
    catalogs: dict[str, Path],
    alone: Callable[..., dict[str, bytes]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = Path.rename

    def rename(self: Path, target: Path) -> Path:
        if Path(target).name == "margin_60":
            raise OSError("no space left")
        return original(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        with pytest.raises(StorageError, match="margin_60 cannot be written: no space left") as caught:
            make_margins(catalogs["hats"], tmp_path, THRESHOLDS_ARCSEC)
    assert any("the same call goes on" in note for note in caught.value.__notes__)
    assert {name for name in names_in(tmp_path) if "skymargin" not in name} == {"margin_3600"}
    assert contents(tmp_path / "margin_3600") == alone("hats", 3_600.0)
    make_margins(catalogs["hats"], tmp_path, THRESHOLDS_ARCSEC)
    for threshold in THRESHOLDS_ARCSEC:
        assert contents(tmp_path / f"margin_{threshold:g}") == alone("hats", threshold)
    assert names_in(tmp_path) == ["margin_1", "margin_3600", "margin_60"]


def test_on_the_command_line(
    catalogs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", str(catalogs["hats"]), "-t", "1", "--threshold", "60", "-o", str(tmp_path)]
    assert main([*command, "--name", "margin"]) == 2
    assert "--name can be used with one threshold only" in capsys.readouterr().err
    assert nothing_left(tmp_path)
    assert main([*command, "--json", "--no-progress"]) == 0
    reports = json.loads(capsys.readouterr().out)
    assert [report["catalog_path"] for report in reports] == [
        str(tmp_path / name) for name in ("hats_1arcs", "hats_60arcs")
    ]
    assert names_in(tmp_path) == ["hats_1arcs", "hats_60arcs"]
    assert main(["build", str(catalogs["hats"]), "-t", "5", "-t", "5.0", "-o", str(tmp_path)]) == 1
    assert "have the same output" in capsys.readouterr().err


def test_lines_at_the_end(catalogs: dict[str, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "skymargin", "build", str(catalogs["hats"]), "-o", str(tmp_path)]
    done = subprocess.run([*command, "-t", "60", "-t", "5"], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{tmp_path / 'hats_60arcs'}: ")
    assert second.startswith(f"{tmp_path / 'hats_5arcs'}: ")
    assert "Reducing" in done.stderr


def test_a_catalog_without_rows(tmp_path: Path) -> None:
    empty = Sky(
        ((0, 4),), np.empty(0), np.empty(0), np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.uint64)
    )
    write_catalog(
        tmp_path / "stars",
        empty,
        table=pa.table(
            {
                "id": pa.array([], pa.int64()),
                "ra": pa.array([], pa.float64()),
                "dec": pa.array([], pa.float64()),
                "_healpix_29": pa.array([], pa.int64()),
            }
        ),
    )
    reports = make_margins(tmp_path / "stars", tmp_path / "out", (5.0, 100.0))
    assert [report.empty_reason for report in reports] == ["because the catalog has no rows"] * 2
