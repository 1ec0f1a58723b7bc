"""Columns of the generated catalogs: values from a seed, with the entropy of real measurements.

Each maker gets the rows of one partition and a random generator of that partition's own, so the values do not
depend on the order in which the partitions are written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.healpix_plane import Floats, Integers


@dataclass(frozen=True)
class Rows:
    """Rows of one partition: numbers in the catalog, index values at order 29, coordinates in degrees."""

    number: Integers
    index: Integers
    ra_deg: Floats
    dec_deg: Floats


Maker = Callable[[Rows, np.random.Generator], pa.Table]


def _float32(values: Floats) -> NDArray[np.float32]:
    return values.astype(np.float32)


def position_columns(rows: Rows) -> dict[str, pa.Array]:
    """Index, identifier and coordinates: the four columns every generated catalog has."""
    return {
        "_healpix_29": pa.array(rows.index),
        # Unique, and growing along the sky as the identifiers of Gaia do.
        "source_id": pa.array(rows.number * 8_191 + 17),
        "ra": pa.array(rows.ra_deg),
        "dec": pa.array(rows.dec_deg),
    }


def narrow(rows: Rows, rng: np.random.Generator) -> pa.Table:
    """Eight columns: for the catalogs whose number of partitions is what matters."""
    count = len(rows.number)
    columns = position_columns(rows)
    for name in ("g_mag", "bp_mag", "rp_mag", "parallax"):
        columns[name] = pa.array(_float32(rng.normal(18.0, 2.0, count)))
    return pa.table(columns)


def measurements(rows: Rows, rng: np.random.Generator) -> pa.Table:
    """Identifier and coordinates without an index, and 30 columns of float64, float32 and int32 in turn."""
    count = len(rows.number)
    columns = position_columns(rows)
    del columns["_healpix_29"]
    for number in range(0, 30, 3):
        columns[f"value_{number:02}"] = pa.array(rng.normal(0.0, 1.0, count))
        columns[f"value_{number + 1:02}"] = pa.array(rng.standard_normal(count, dtype=np.float32))
        columns[f"value_{number + 2:02}"] = pa.array(rng.integers(0, 1_000, count, dtype=np.int32))
    return pa.table(columns)


def stars(rows: Rows, rng: np.random.Generator) -> pa.Table:
    """34 columns in the manner of Gaia: doubles, floats, small integers, a flag, nulls and two strings."""
    count = len(rows.number)
    columns = position_columns(rows)
    magnitude = 21.0 - rng.exponential(1.8, count)
    error = 10.0 ** (0.25 * (magnitude - 18.0)) * 0.1
    for name in ("parallax", "pmra", "pmdec"):
        columns[name] = pa.array(rng.normal(0.0, 1.0 + error))
    for name in ("ra_error", "dec_error", "parallax_error", "pmra_error", "pmdec_error"):
        columns[name] = pa.array(_float32(error * rng.uniform(0.7, 1.4, count)))
    for name in (
        "ra_dec_corr",
        "parallax_pmra_corr",
        "astrometric_chi2_al",
        "astrometric_excess_noise",
        "ruwe",
    ):
        columns[name] = pa.array(_float32(rng.normal(1.0, 0.3, count)))
    for band, offset in (("g", 0.0), ("bp", 0.5), ("rp", -0.7)):
        band_magnitude = magnitude + offset + rng.normal(0.0, 0.2, count)
        flux = 10.0 ** (0.4 * (25.5 - band_magnitude))
        columns[f"phot_{band}_mean_flux"] = pa.array(flux)
        columns[f"phot_{band}_mean_flux_error"] = pa.array(_float32(np.sqrt(flux)))
        columns[f"phot_{band}_mean_mag"] = pa.array(_float32(band_magnitude))
    columns["phot_bp_rp_excess_factor"] = pa.array(_float32(rng.normal(1.2, 0.05, count)))
    columns["radial_velocity"] = pa.array(_float32(rng.normal(0.0, 40.0, count)), mask=magnitude > 15.0)
    columns["teff_gspphot"] = pa.array(_float32(rng.normal(5200.0, 900.0, count)), mask=magnitude > 19.0)
    columns["astrometric_n_good_obs_al"] = pa.array(rng.integers(80, 700, count, dtype=np.int16))
    columns["visibility_periods_used"] = pa.array(rng.integers(8, 35, count, dtype=np.int8))
    columns["duplicated_source"] = pa.array(rng.random(count) < 0.01)
    variable = pa.array(["NOT_AVAILABLE", "VARIABLE", "CONSTANT"])
    columns["phot_variable_flag"] = variable.take(pa.array(rng.choice(3, count, p=[0.9, 0.08, 0.02])))
    columns["designation"] = pa.array(np.char.add("SIM DR1 ", columns["source_id"].to_numpy().astype("U20")))
    return pa.table(columns)


OBSERVATIONS_PER_LIGHT_CURVE = 1_700
PIXELS_PER_SPECTRUM = 5_000


def _lists(values: NDArray[Any], lists: int) -> pa.ListArray:
    offsets = np.linspace(0, len(values), lists + 1).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def light_curves(rows: Rows, rng: np.random.Generator) -> pa.Table:
    """Nested light curves, structs of lists as nested-pandas keeps them: 24 bytes x 1,700 = 40.8 kB a row."""
    count = len(rows.number)
    total = count * OBSERVATIONS_PER_LIGHT_CURVE
    fields: dict[str, NDArray[Any]] = {
        "mjd": rng.random(total) * 3_650.0 + 59_000.0,
        "mag": rng.standard_normal(total, dtype=np.float32),
        "mag_error": rng.random(total, dtype=np.float32),
        "flux": rng.standard_normal(total, dtype=np.float32),
        "flags": rng.integers(0, 2**31, total, dtype=np.int32),
    }
    nested = pa.StructArray.from_arrays([_lists(values, count) for values in fields.values()], list(fields))
    columns = position_columns(rows)
    columns["g_mag"] = pa.array(_float32(rng.normal(18.0, 2.0, count)))
    return pa.table({**columns, "light_curve": nested})


def spectra(rows: Rows, rng: np.random.Generator) -> pa.Table:
    """Two lists of 5,000 floats: 40 kB a row."""
    count = len(rows.number)
    columns = position_columns(rows)
    for name in ("flux", "inverse_variance"):
        columns[name] = _lists(rng.standard_normal(count * PIXELS_PER_SPECTRUM, dtype=np.float32), count)
    return pa.table(columns)


MAKERS: dict[str, Maker] = {
    "narrow": narrow,
    "measurements": measurements,
    "stars": stars,
    "light_curves": light_curves,
    "spectra": spectra,
}
