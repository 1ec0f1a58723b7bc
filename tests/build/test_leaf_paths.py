"""Margins of catalogs whose files lie elsewhere: the same as of those at home, however the files are found."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pyarrow.parquet as pq
import pytest
from distributed import Client

from skymargin import pipeline_with_client, plan_margin, verify
from skymargin.build.checkpoint.fingerprint import fingerprint_of
from skymargin.build.planning import plan_run
from skymargin.build.subset.provenance import RECORD
from skymargin.cli.main import main
from skymargin.errors import ArgumentError, CatalogError, MissingPartitionError
from skymargin.plot import most_telling_pixel, plot_partition
from skymargin.progress import Stages
from tests.support.catalogs import Layout, Pixel, files_of, ids_of, sky_near_edges, write_catalog
from tests.support.hipscat_catalogs import write_hipscat_catalog
from tests.support.workspace import Workspace

THRESHOLD_ARCSEC = 60.0
PARTITIONS: tuple[Pixel, ...] = ((0, 5), (1, 14), (1, 15), (2, 52), (2, 53), (2, 54))
SKY = sky_near_edges(PARTITIONS, 1_000, THRESHOLD_ARCSEC, seed=28)
TEMPLATE = "../leafs/{order}/star_{pixel:06}.parquet"


def move(catalog: Path, path_of: Callable[[int, int], str] | None = None) -> Path:
    """Move the files of a catalog to where `TEMPLATE` or a function says, relative to it; return that folder."""
    for (order, pixel), file in files_of(catalog).items():
        name = TEMPLATE.format(order=order, pixel=pixel) if path_of is None else path_of(order, pixel)
        (catalog / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(file, catalog / name)
    return catalog.parent / "leafs"


def leaf_of(base: Any, pixel: Any, _query: object, suffix: str) -> Any:
    return base.parent / "leafs" / str(pixel.order) / f"star_{pixel.pixel:06}{suffix}"


def rows_alone(contents: dict[str, bytes]) -> dict[str, bytes]:
    """Without what has the name of the margin, or the paths and times of the files it was made from."""
    assert RECORD in contents
    return {name: content for name, content in contents.items() if not name.endswith(("properties", "json"))}


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    write_catalog(tmp_path / "stars", SKY, Layout(row_group_rows=50))
    return Workspace(tmp_path / "stars", tmp_path / "out", THRESHOLD_ARCSEC)


def test_the_margin_is_that_of_the_files_at_home(work: Workspace) -> None:
    work.make("home")
    leafs = move(work.catalog)
    ways: dict[str, Any] = {
        "template": TEMPLATE,
        "absolute": f"{leafs}/{{order}}/star_{{pixel:06}}.parquet",
        "function": leaf_of,
    }
    for name, path_generator in ways.items():
        report = work.make(name, path_generator=path_generator)
        assert report.primary_rows == len(SKY)
        assert rows_alone(work.contents(name)) == rows_alone(work.contents("home"))
    assert ids_of(work.output / "template") == SKY.margins(THRESHOLD_ARCSEC)
    planned = plan_margin(work.arguments("planned", path_generator=TEMPLATE))
    assert planned.estimated_primary_rows == len(SKY)


def test_folders_of_files(work: Workspace, tmp_path: Path) -> None:
    work.make("home")
    shutil.rmtree(work.catalog)
    write_catalog(work.catalog, SKY, Layout(row_group_rows=50, suffix="/", files_per_partition=3))
    for order, pixel in PARTITIONS:
        home = work.catalog / f"dataset/Norder={order}/Dir=0/Npix={pixel}"
        (tmp_path / "leafs").mkdir(exist_ok=True)
        shutil.move(home, tmp_path / f"leafs/{order}_{pixel}")
    work.make("away", path_generator="../leafs/{order}_{pixel}")
    ours, expected = rows_alone(work.contents("away")), rows_alone(work.contents("home"))
    assert {name: ours[name] for name in ours if name.endswith(".parquet")} == {
        name: expected[name] for name in expected if name.endswith(".parquet")
    }


def test_hipscat_catalogs(tmp_path: Path) -> None:
    pytest.importorskip("hipscat")
    work = Workspace(tmp_path / "stars", tmp_path / "out", THRESHOLD_ARCSEC)
    write_hipscat_catalog(work.catalog, SKY)
    work.make("home")
    move(work.catalog)
    work.make("away", path_generator=TEMPLATE)
    assert rows_alone(work.contents("away", 15)) == rows_alone(work.contents("home", 15))
    assert verify(work.output / "away", path_generator=TEMPLATE).right


def test_a_function_is_called_in_this_process_alone(work: Workspace) -> None:
    work.make("home")
    move(work.catalog)
    lock = threading.Lock()

    def path_of(*arguments: Any) -> Any:
        # What no worker could be sent.
        with lock:
            return leaf_of(*arguments)

    with Client(processes=False, dashboard_address="127.0.0.1:0") as client:
        pipeline_with_client(work.arguments("dask", path_generator=path_of), client)
    assert rows_alone(work.contents("dask")) == rows_alone(work.contents("home"))


def test_catalogs_and_files_on_stores(work: Workspace) -> None:
    work.make("home")
    leafs = move(work.catalog)
    memory = fsspec.filesystem("memory")
    memory.put(str(leafs), "/leaf-files", recursive=True)
    memory.put(str(work.catalog), "/leaf-stars", recursive=True)
    template = "memory://leaf-files/{order}/star_{pixel:06}.parquet"
    work.make("files", path_generator=template)
    replace(work, catalog="memory://leaf-stars").make("both", path_generator=template)
    shutil.rmtree(leafs)
    replace(work, catalog="memory://leaf-stars").make(
        "relative", path_generator="../leaf-files/{order}/star_{pixel:06}.parquet"
    )
    expected = {name: file for name, file in work.contents("home").items() if name.endswith(".parquet")}
    for name in ("files", "both", "relative"):
        ours = work.contents(name)
        assert {name: ours[name] for name in ours if name.endswith(".parquet")} == expected
    report = work.make("files", path_generator=template, only_changed=True)
    assert report.bytes_read == 0


def test_a_run_is_known_by_the_paths_of_its_files(work: Workspace) -> None:
    leafs = move(work.catalog)
    shutil.copytree(leafs, leafs.parent / "copies")

    def fingerprint(path_generator: Any) -> Any:
        return fingerprint_of(plan_run([work.arguments(path_generator=path_generator)], Stages(False)))

    by_template = fingerprint(f"{leafs}/{{order}}/star_{{pixel:06}}.parquet")
    assert fingerprint(f"{leafs}/{{order:d}}/star_{{pixel:06d}}.parquet").change_from(by_template) is None
    other = fingerprint(f"{leafs.parent}/copies/{{order}}/star_{{pixel:06}}.parquet")
    assert "the partitions' files changed" in other.change_from(by_template)


def test_only_what_changed_is_made_again(work: Workspace, mapped: list[Pixel]) -> None:
    leafs = move(work.catalog)
    work.make(path_generator=TEMPLATE)
    mapped.clear()
    # By a function that gives the same paths.
    report = work.make(path_generator=leaf_of, only_changed=True)
    assert (report.bytes_read, mapped) == (0, [])
    file = leafs / "2/star_000053.parquet"
    pq.write_table(pq.ParquetFile(file).read().slice(0, 20), file)
    for name in ("hats.properties", "properties"):
        lines = (work.catalog / name).read_text().splitlines()
        (work.catalog / name).write_text("\n".join(line for line in lines if "hats_nrows" not in line))
    (work.catalog / "dataset/_metadata").unlink()
    work.make(path_generator=TEMPLATE, only_changed=True)
    assert mapped
    work.make("whole", path_generator=TEMPLATE)
    assert rows_alone(work.contents()) == rows_alone(work.contents("whole"))


def test_paths_in_metadata_are_used_for_files_that_are_not_at_home(work: Workspace) -> None:
    work.make("home")
    away = [(2, 53), (1, 14)]
    home = files_of(work.catalog)
    footers = []
    for (order, pixel), file in home.items():
        name = file.relative_to(work.catalog / "dataset").as_posix()
        if (order, pixel) in away:
            name = f"../night/Norder={order}/Npix={pixel}/rows.parquet"
            target = work.catalog / "dataset" / name
            target.parent.mkdir(parents=True)
            shutil.move(file, target)
            file = target
        footers.append(pq.read_metadata(file))
        footers[-1].set_file_path(name)
    schema = pq.read_schema(work.catalog / "dataset/_common_metadata")
    pq.write_metadata(schema, work.catalog / "dataset/_metadata", metadata_collector=footers)
    work.make("away")
    assert rows_alone(work.contents("away")) == rows_alone(work.contents("home"))
    assert verify(work.output / "away").right
    lost = work.catalog / "night/Norder=2/Npix=53/rows.parquet"
    lost.unlink()
    with pytest.raises(
        MissingPartitionError,
        match=r"rows\.parquet: there is no such file.*order 2, pixel 53 by its file_path",
    ):
        work.make("lost")


def test_verify_and_plot_read_the_same_files(work: Workspace) -> None:
    leafs = move(work.catalog)
    work.make(path_generator=TEMPLATE)
    for path_generator in (TEMPLATE, leaf_of):
        report = verify(work.margin, path_generator=path_generator)
        assert (report.right, report.primary_rows) == (True, len(SKY))
    with pytest.raises(CatalogError, match="or its files lie elsewhere, where path_generator can say"):
        verify(work.margin)
    with pytest.raises(CatalogError, match="where path_generator can say"):
        plot_partition(work.margin)
    pixel = most_telling_pixel(work.margin, path_generator=leaf_of)
    figure = plot_partition(work.margin, pixel, path_generator=TEMPLATE)
    figure.canvas.draw()
    picture = work.output / "sky.png"
    command = ["plot", str(work.margin), "--sky", "-o", str(picture)]
    assert main([*command, "--path-template", TEMPLATE]) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
    file = leafs / "1/star_000014.parquet"
    pq.write_table(pq.ParquetFile(file).read().slice(1), file)
    assert not verify(work.margin, path_generator=TEMPLATE).right


def test_what_is_not_there(work: Workspace) -> None:
    leafs = move(work.catalog)
    none = work.fails(MissingPartitionError, "Npix=5.parquet and 5 more: listed in")
    assert none.endswith("if the files of all partitions lie elsewhere, path_generator says where")
    (leafs / "2/star_000054.parquet").unlink()
    words = (
        f"star_000054.parquet: there is no such file. It is that of order 2, pixel 54 by path_generator {TEMPLATE!r}",
    )
    work.fails(MissingPartitionError, *words, path_generator=TEMPLATE)
    (leafs / "2/star_000054.parquet").write_bytes(b"short")
    work.fails(
        CatalogError, "star_000054.parquet is not a Parquet file: it has 5 bytes", path_generator=TEMPLATE
    )


def test_margins_of_one_run_read_the_same_files(work: Workspace) -> None:
    from skymargin import pipeline

    move(work.catalog)
    both = [
        work.arguments("one", path_generator=TEMPLATE),
        work.arguments("two", margin_threshold=30.0, path_generator=leaf_of),
    ]
    with pytest.raises(ArgumentError, match=r"path_generator differs: .* in args.0. and .* in args.1."):
        pipeline(both)
    both[1].path_generator = TEMPLATE
    assert [report.margin_threshold_arcsec for report in pipeline(both)] == [60.0, 30.0]
    with pytest.raises(ArgumentError, match="is not known; allowed are"):
        both[1].path_generator = "x/{npix}"


def test_the_command_line(work: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    work.make("home")
    move(work.catalog)
    out = ["--output", str(work.output), "--threads", "1", "--threshold", "60"]
    template = ["--path-template", TEMPLATE]
    assert main(["build", str(work.catalog), *out, "--name", "cli", "-q", *template]) == 0
    assert rows_alone(work.contents("cli")) == rows_alone(work.contents("home"))
    assert main(["verify", str(work.output / "cli"), "-q", *template]) == 0
    capsys.readouterr()
    assert main(["build", str(work.catalog), *out, "--name", "none"]) != 0
    assert (
        "if the files of all partitions lie elsewhere, --path-template says where" in capsys.readouterr().err
    )
    assert main(["build", str(work.catalog), *out, "--name", "none", "--path-template", "x/{npix}"]) != 0
    assert "--path-template 'x/{npix}' is not allowed: {npix} is not known" in capsys.readouterr().err
