"""A margin catalog and its primary, as found on disk: the threshold, and where the coordinates are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skymargin.errors import CatalogError

if TYPE_CHECKING:
    import pyarrow as pa

    from skymargin.formats.survey import Survey

_LARGEST_THRESHOLD_ARCSEC = 90 * 3600.0
_CUSTOMARY_INDEX = "_healpix_29"


@dataclass(frozen=True)
class Columns:
    """Names of the columns of position; without an index, None."""

    ra: str
    dec: str
    index: str | None


def stated_threshold_arcsec(margin: Survey) -> float:
    """The threshold of a margin, arcseconds.

    Raises
    ------
    CatalogError
        When the catalog is no margin, or its threshold is not allowed.
    """
    text = margin.properties.get("hats_margin_threshold")
    if text is None:
        raise CatalogError(
            f"{margin.path} is not a margin: {margin.properties_file} has dataproduct_type={margin.kind or 'nothing'} "
            "and no hats_margin_threshold"
        )
    try:
        threshold_arcsec = float(text)
    except ValueError:
        threshold_arcsec = math.nan
    # Written so that a NaN fails.
    if not 0 < threshold_arcsec <= _LARGEST_THRESHOLD_ARCSEC:
        raise CatalogError(
            f"{margin.properties_file} has the margin threshold {text!r}: allowed are numbers of arcseconds above 0 "
            f"and at most {_LARGEST_THRESHOLD_ARCSEC:.0f} (90 degrees)"
        )
    return threshold_arcsec


def check_primary(primary: Survey) -> None:
    """Refuse what is no primary catalog, or not all there.

    Raises
    ------
    CatalogError
        Which says why.
    """
    if primary.kind not in ("object", "source"):
        raise CatalogError(
            f"{primary.path} cannot be the primary catalog: {primary.properties_file} has "
            f"dataproduct_type={primary.kind or 'nothing'}; allowed are object and source"
        )
    listed = set(primary.listed or ())
    lost = sorted(listed - set(primary.files))
    if lost:
        raise CatalogError(
            f"{primary.data / primary.partition_path(lost[0])} is not there, but listed in partition_info.csv: "
            "the primary catalog is not complete"
        )
    if not primary.files:
        raise CatalogError(f"{primary.path} has no partitions: there is nothing to check a margin against")


def coordinate_columns(primary: Survey, schema: pa.Schema) -> Columns:
    """The columns of position of a primary catalog with some schema.

    Raises
    ------
    CatalogError
        When its properties name a column that is not there.
    """
    names = []
    for role in ("ra", "dec"):
        name = primary.properties.get(f"hats_col_{role}", "")
        if name not in schema.names:
            raise CatalogError(
                f"{primary.properties_file} names {name!r} as the {role} column; "
                f"the columns are {', '.join(schema.names)}"
            )
        names.append(name)
    index = primary.index[0] or _CUSTOMARY_INDEX
    return Columns(names[0], names[1], index if index in schema.names else None)
