"""The command line: what it makes, what it says, and with which code it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hats import read_hats
from hypothesis import given
from hypothesis import strategies as st

import skymargin
from skymargin.build.default_name import default_name
from skymargin.cli.main import main
from tests.support.catalogs import files_of, ids_of, make_margin
from tests.support.processes import run


def run_code(code: str, ends_with: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own."""
    return run([sys.executable, "-c", textwrap.dedent(code)], environment=environment, code=ends_with)


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    done = run_code("""
        import sys
        from skymargin.cli.main import main
        assert main(["--help"]) == 0
        heavy = {"dask", "distributed", "hats", "matplotlib", "numpy", "pandas", "polars", "pyarrow"}
        print("imported:", sorted(heavy & set(sys.modules)))
    """)
    assert "imported: []" in done.stdout
    for command in ("build", "demo"):
        assert command in done.stdout


def test_the_garbage_collector_is_set_by_the_process_alone() -> None:
    done = run_code("""
        import gc, sys
        from skymargin.cli.main import main, program
        before = gc.get_threshold()
        assert main(["--version"]) == 0
        assert gc.get_threshold() == before and gc.get_freeze_count() == 0
        sys.argv = ["skymargin", "--version"]
        assert program() == 0
        print("frozen:", gc.get_freeze_count() > 1_000, gc.get_threshold()[0] > before[0])
    """)
    assert "frozen: True True" in done.stdout


def test_the_margin_is_built_as_told(
    small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", str(small_catalog), "--threshold", "3600", "--output", str(tmp_path)]
    assert main([*command, "--threads", "2"]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 1
    assert said.err == ""

    margin = read_hats(tmp_path / "small_3600arcs")
    assert margin.catalog_info.margin_threshold == 3600
    rows = ids_of(tmp_path / "small_3600arcs")
    assert sum(map(len, rows.values())) == margin.catalog_info.total_rows > 100

    # The same by the function that the command stands for.
    report = make_margin(small_catalog, tmp_path, 3600.0, "by_hand")
    assert report.rows == margin.catalog_info.total_rows
    assert ids_of(tmp_path / "by_hand") == rows


def test_options_reach_the_pipeline(
    small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["build", str(small_catalog), "--output", str(tmp_path), "--quiet"]
    assert main([*base, "--threshold", "1800", "--name", "exact"]) == 0
    coarse = ["--coarse", "--margin-order", "5", "--tmp-dir", str(tmp_path / "scratch")]
    assert main([*base, "--threshold", "1800", "--name", "coarse", *coarse]) == 0
    assert not any(capsys.readouterr())
    exact, ring = ids_of(tmp_path / "exact"), ids_of(tmp_path / "coarse")
    assert all(set(rows) <= set(ring[pixel]) for pixel, rows in exact.items())
    assert sum(map(len, ring.values())) > sum(map(len, exact.values())) > 0


def test_an_existing_margin_is_replaced_only_when_told(
    small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", str(small_catalog), "--output", str(tmp_path), "--no-progress", "--name", "margin"]
    assert main([*command, "--threshold", "3600"]) == 0
    first = ids_of(tmp_path / "margin")
    assert main([*command, "--threshold", "7200"]) == 1
    assert "exists already; --overwrite replaces it" in capsys.readouterr().err
    assert ids_of(tmp_path / "margin") == first
    assert main([*command, "--threshold", "7200", "--overwrite"]) == 0
    assert sum(map(len, ids_of(tmp_path / "margin").values())) > sum(map(len, first.values()))


def test_an_unexpected_error_is_one_line_too_or_a_traceback_if_wanted(
    monkeypatch: pytest.MonkeyPatch, small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_args: object) -> None:
        raise KeyError("first line\nsecond line")

    monkeypatch.setattr(skymargin, "pipeline", broken)
    command = ["build", str(small_catalog), "--threshold", "1", "--output", str(tmp_path)]
    assert main(command) == 1
    said = capsys.readouterr().err
    assert said.startswith("skymargin: error: KeyError: ")
    assert said.count("\n") == 1
    monkeypatch.setenv("SKYMARGIN_TRACEBACK", "1")
    with pytest.raises(KeyError):
        main(command)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent the POSIX way")
def test_an_interrupt_ends_with_130_and_leaves_no_margin(small_catalog: Path, tmp_path: Path) -> None:
    """Ctrl-C arrives while a batch is mapped."""
    done = run_code(
        """
        import os, signal, sys
        import skymargin.build.run
        from skymargin.cli.main import main

        def map_batch(*_):
            os.kill(os.getpid(), signal.SIGINT)
            import time
            time.sleep(0.5)
            raise AssertionError("the interrupt was not noticed")

        skymargin.build.run.map_batch = map_batch
        raise SystemExit(main(["build", os.environ["CATALOG"], "--threshold", "60", "--output", os.environ["OUT"]]))
        """,
        ends_with=128 + signal.SIGINT,
        CATALOG=str(small_catalog),
        OUT=str(tmp_path),
    )
    assert done.stderr.rstrip().endswith("skymargin: interrupted"), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "small_60arcs").exists()


def test_an_interrupt_while_the_command_is_loaded_has_no_traceback() -> None:
    done = run_code(
        """
        import sys

        class Interrupted:
            def find_spec(self, name, *_):
                if name == "click":
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Interrupted())
        from skymargin.__main__ import program
        raise SystemExit(program())
        """,
        ends_with=128 + signal.SIGINT,
    )
    assert (done.stdout, done.stderr) == ("", "\nskymargin: interrupted\n")


@pytest.mark.parametrize(
    ("catalog", "threshold_arcsec", "name"),
    [
        ("gaia", 10.0, "gaia_10arcs"),
        ("catalogs/gaia/", 0.5, "gaia_0.5arcs"),
        ("s3://bucket/surveys/gaia/", 1.2, "gaia_1.2arcs"),
        ("/data/gaia", 3600.0, "gaia_3600arcs"),
        ("gaia", 1e-7, "gaia_0.0000001arcs"),
        ("gaia", 100.0, "gaia_100arcs"),
        ("gaia", 1.7, "gaia_1.7arcs"),
        ("gaia", 1.7000000000000002, "gaia_1.7000000000000002arcs"),
        ("gaia", 324_000.0, "gaia_324000arcs"),
        ("gaia", 0.1 + 0.2, "gaia_0.30000000000000004arcs"),
    ],
)
def test_the_name_says_catalog_and_threshold(catalog: str, threshold_arcsec: float, name: str) -> None:
    assert default_name(catalog, threshold_arcsec) == name


def test_the_current_folder_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stars").mkdir()
    monkeypatch.chdir(tmp_path / "stars")
    assert default_name(".", 5.0) == "stars_5arcs"


@given(st.floats(0, 324_000, exclude_min=True), st.floats(0, 324_000, exclude_min=True))
def test_two_thresholds_never_share_a_name(left_arcsec: float, right_arcsec: float) -> None:
    same_name = default_name("c", left_arcsec) == default_name("c", right_arcsec)
    assert same_name == (left_arcsec == right_arcsec)
    digits = default_name("c", left_arcsec).removeprefix("c_").removesuffix("arcs")
    assert float(digits) == left_arcsec


def test_the_report_as_json_and_nothing_else(
    small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", str(small_catalog), "-t", "3600", "-o", str(tmp_path), "--name", "margin"]
    assert main([*command, "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert (told["skymargin"], told["type"]) == (skymargin.__version__, "build")
    (report,) = told["reports"]
    assert report["rows"] == sum(map(len, ids_of(tmp_path / "margin").values())) > 0
    assert set(report["seconds"]) == {"planning", "mapping", "reducing", "finishing"}
    assert said.err == ""


def test_options_of_files_reach_the_pipeline(
    small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["build", str(small_catalog), "--threshold", "3600", "--output", str(tmp_path), "-q"]
    assert main([*base, "--name", "plain"]) == 0
    options = "--compression gzip --row-group-rows 4 --property creator_did=ivo://x=y --no-metadata"
    options += " --name other --with markdown --with thumbnail"
    assert main([*base, *options.split(), "--dask-tmp", str(tmp_path / "dask")]) == 0
    assert not any(capsys.readouterr())
    assert ids_of(tmp_path / "other") == ids_of(tmp_path / "plain")
    for file in files_of(tmp_path / "other").values():
        group = pq.read_metadata(file).row_group(0)
        assert group.num_rows <= 4
        assert group.column(0).compression == "GZIP"
    assert "creator_did=ivo://x=y" in (tmp_path / "other" / "hats.properties").read_text()
    made = {path.name for path in (tmp_path / "other").rglob("*")}
    assert {"README.md", "data_thumbnail.parquet"} <= made
    assert not {"_metadata", "index.html"} & made
    assert main([*base, "--name", "folders", "--npix-suffix", "/"]) == 0
    assert list((tmp_path / "folders" / "dataset").rglob("Npix=*/Npix=*.parquet"))


def test_a_part_of_a_catalog(small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order, pixel = next(iter(files_of(small_catalog)))
    command = ["build", str(small_catalog), "--threshold", "3600", "--output", str(tmp_path), "--json"]
    assert main([*command, "--pixel", f"{order}/{pixel}"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["reports"]
    assert report["primary_partitions"] == 1


def test_a_warning_is_one_line(small_catalog: Path, tmp_path: Path) -> None:
    done = run_code(
        """
        import os
        from skymargin.cli.main import main
        command = ["build", os.environ["CATALOG"], "-t", "3600", "-o", os.environ["OUT"], "-q"]
        raise SystemExit(main([*command, "--email", "me@here.org"]))
        """,
        CATALOG=str(small_catalog),
        OUT=str(tmp_path),
        SKYMARGIN_SMTP_HOST="127.0.0.1",
        # Nobody listens on port 1.
        SKYMARGIN_SMTP_PORT="1",
    )
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("skymargin: warning: no mail was sent to me@here.org by 127.0.0.1:1: ")
