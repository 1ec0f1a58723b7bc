"""What other tools decide about the conformance set: the numbers that the page of guarantees has."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path

import pytest

from conformance.catalogs import CATALOGS
from conformance.tables import COLUMNS
from tests.peers.runs import run_peer
from tests.support.catalogs import ids_of
from tests.support.conformance import margins_of, pixel_of, position_of, table, write_conformance_catalog

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs/explanation/guarantees.md"


def page_says(sentence: str) -> bool:
    return sentence in " ".join(PAGE.read_text(encoding="utf-8").split())


def test_hats_import_misses_no_row_and_has_more(hats_import_python: Path, tmp_path: Path) -> None:
    built = refused = rows = missing = extra = 0
    for catalog in CATALOGS:
        write_conformance_catalog(tmp_path / catalog.name, catalog)
        for threshold_arcsec, margins in margins_of(catalog).items():
            folder = tmp_path / f"{catalog.name} {threshold_arcsec:g}"
            (folder / "tmp").mkdir(parents=True)
            arguments = (tmp_path / catalog.name, folder, "margin", threshold_arcsec, 1, folder / "tmp")
            try:
                run_peer(hats_import_python, "run_margin.py", "hats_import", *arguments)
            except subprocess.CalledProcessError:
                refused += 1
                continue
            found = ids_of(folder / "margin")
            built += 1
            rows += sum(map(len, margins.values()))
            missing += sum(len(set(ids) - set(found.get(name, []))) for name, ids in margins.items())
            extra += sum(len(set(ids) - set(margins.get(name, []))) for name, ids in found.items())
    assert page_says(f"hats-import 0.11 refuses {refused} of the {built + refused} margins")
    assert page_says(f"of the {rows} rows of the others it misses {missing}, and it has {extra} more")


def test_the_check_of_hipscat_decides_many_rows_otherwise(
    hipscat_import_python: Path, tmp_path: Path
) -> None:
    outside = {
        (pixel_of(record), position_of(record))
        for record in table("separations")
        if record["separation_arcsec"] != "0.0"
    }
    with (tmp_path / "decisions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS["decisions"])
        writer.writeheader()
        writer.writerows(
            record
            for record in table("decisions")
            if record["required"] == "true" and (pixel_of(record), position_of(record)) in outside
        )
    counts = json.loads(run_peer(hipscat_import_python, "decide_with_hipscat.py", tmp_path / "decisions.csv"))
    total = sum(counts.values())
    assert page_says(f"Of the {total} required decisions about positions outside the pixel")
    assert page_says(f"it decides {counts['otherwise']} differently, and {counts['error']} end in an error")
