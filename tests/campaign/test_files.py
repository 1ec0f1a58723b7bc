"""Files of several libraries in short; and what is told of a file that is read wrongly."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.campaign.__main__ import main
from tests.campaign.conftest import RunShort
from tests.campaign.files import campaign, process
from tests.campaign.files.campaign import FULL, SHORT, batches
from tests.support import varied_catalogs
from tests.support.catalogs import files_of
from tests.support.parquet_writers import WRITERS
from tests.support.varied_catalogs import Case, NotReadError, check


def test_short(run_short: RunShort) -> None:
    outcome = run_short("files")
    assert len(outcome.tallies) == len(WRITERS) == 4
    assert sum(tally.survived for tally in outcome.tallies) >= 2_000


def test_seeds_are_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(campaign, "_run_batch", lambda batch, _: {"right": 0, "failure": batch.writer})
    monkeypatch.setattr("sys.argv", ["campaign", "files", "--short", "--seed", "70"])
    assert main() == 1
    printed = capsys.readouterr().out
    assert re.match(r"files: \d+ s, seed 70\n", printed)
    for batch in batches(SHORT, 70):
        assert f"seed {batch.seed}: {batch.writer}\n" in printed


@pytest.mark.parametrize("files", [SHORT, FULL])
def test_every_library_has_its_share(files: int) -> None:
    made = batches(files, 7)
    assert sum(batch.files for batch in made) == files
    assert len({batch.seed for batch in made}) == len(made)
    assert {batch.writer for batch in made} == set(WRITERS)


CASE = Case(
    "pyarrow", "few", [("double", "every fifth", 0), ("string", "none", 3)], {}, ({}, {"compression": "gzip"})
)


def test_a_catalog_that_is_right_counts_its_files(tmp_path: Path) -> None:
    assert check(CASE, tmp_path) == 4


def test_a_value_that_differs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = varied_catalogs.read

    def otherwise(catalog: Path) -> pa.Table:
        table = read(catalog)
        at = table.schema.get_field_index("0 double")
        return table.set_column(at, table.schema.field(at), pc.add(table.column(at), 1e-9))

    monkeypatch.setattr(varied_catalogs, "read", otherwise)
    with pytest.raises(AssertionError, match="0 double"):
        check(CASE, tmp_path)


def test_metadata_that_differs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema_of = varied_catalogs.schema_of
    monkeypatch.setattr(
        varied_catalogs, "schema_of", lambda catalog: schema_of(catalog).with_metadata({"k": "v"})
    )
    with pytest.raises(AssertionError, match="the schema is"):
        check(replace(CASE, has_schema=False), tmp_path)


def test_the_smallest_catalog_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(case: Case, _: Path) -> int:
        if any(nulls == "many" for _, nulls, _ in case.columns):
            raise ValueError("many nulls")
        return 32

    monkeypatch.setattr(process, "check", fails)
    counts = process.run("polars", 3, 1_000, tmp_path)
    assert counts.failure.startswith("ValueError: many nulls")
    assert counts.failure.count("'many'") == 1


def test_what_pyarrow_does_not_read_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_read(catalog: Path) -> pa.Table:
        file = next(iter(files_of(catalog).values()))
        file.write_bytes(b"no Parquet")
        return pa.concat_tables(pq.ParquetFile(file).read() for file in files_of(catalog).values())

    monkeypatch.setattr(varied_catalogs, "read", not_read)
    with pytest.raises(NotReadError, match="pyarrow does not read what pyarrow wrote"):
        check(CASE, tmp_path)
