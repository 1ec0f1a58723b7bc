"""What `resume=False` does there, run as it is: the stand-ins never do more."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from skymargin.compat.hats_arguments import HatsImportArguments
from skymargin.compat.hipscat_arguments import HipscatImportArguments
from skymargin.errors import OutputExistsError
from tests.support.catalogs import MIXED_PARTITIONS, make_margin, on_disk, sky_near_edges, write_catalog
from tests.support.hipscat_catalogs import write_hipscat_catalog

pytestmark = pytest.mark.slow

THRESHOLD_ARCSEC = 60.0
CONSTRUCT = """
import sys
from {package}.margin_cache.margin_cache_arguments import MarginCacheArguments

catalog, output = sys.argv[1:]
try:
    MarginCacheArguments(
        input_catalog_path=catalog,
        output_path=output,
        output_artifact_name="margin",
        margin_threshold=60.0,
        resume=False,
    )
except ValueError as error:
    print(error)
"""


def construct(python: Path, package: str, catalog: Path, output: Path) -> str:
    """Make the arguments of a package with `resume=False`; what it says."""
    done = subprocess.run(
        [str(python), "-c", CONSTRUCT.format(package=package), str(catalog), str(output)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def given(catalog: Path, output: Path) -> dict[str, object]:
    return {
        "input_catalog_path": catalog,
        "output_path": output,
        "output_artifact_name": "margin",
        "margin_threshold": THRESHOLD_ARCSEC,
        "resume": False,
    }


@pytest.fixture
def catalog(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    sky = sky_near_edges(MIXED_PARTITIONS, 400, THRESHOLD_ARCSEC, seed=7)
    write = {"hats": write_catalog, "hipscat": write_hipscat_catalog}[request.param]
    write(tmp_path / "stars", sky)
    return tmp_path / "stars"


@pytest.mark.parametrize("catalog", ["hats"], indirect=True)
def test_hats_import_refuses_a_finished_margin_and_deletes_what_is_none(
    catalog: Path, hats_import_python: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    make_margin(catalog, out, THRESHOLD_ARCSEC)
    (out / "margin" / "thesis.tex").write_text("mine")
    before = on_disk(out)
    said = construct(hats_import_python, "hats_import", catalog, out)
    assert said == f"Output path {out / 'margin'} already contains a valid catalog\n"
    assert on_disk(out) == before
    with pytest.raises(OutputExistsError):
        HatsImportArguments(**given(catalog, out))
    for name in ("hats.properties", "properties"):
        (out / "margin" / name).unlink()
    before = on_disk(out)
    with pytest.raises(OutputExistsError, match=r"thesis\.tex"):
        HatsImportArguments(**given(catalog, out))
    assert on_disk(out) == before
    assert construct(hats_import_python, "hats_import", catalog, out) == ""
    assert on_disk(out) == {}


@pytest.mark.parametrize("catalog", ["hipscat"], indirect=True)
def test_hipscat_import_deletes_whatever_is_there(
    catalog: Path, hipscat_import_python: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    make_margin(catalog, out, THRESHOLD_ARCSEC)
    before = on_disk(out)
    assert HipscatImportArguments(**given(catalog, out)).overwrite
    (out / "margin" / "thesis.tex").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"thesis\.tex"):
        HipscatImportArguments(**given(catalog, out))
    assert on_disk(out) == before | {"margin/thesis.tex": b"mine"}
    assert construct(hipscat_import_python, "hipscat_import", catalog, out) == ""
    assert on_disk(out) == {}
