"""Crossmatches that lose nothing, and the thresholds they need."""

from __future__ import annotations

from typing import Any, Literal

from lsdb.catalog import Catalog

from skymargin.errors import ArgumentError
from skymargin.geometry.angles import allowed_arcsec, as_float, is_quantity
from skymargin.lsdb.margin import require_catalog, with_margin
from skymargin.lsdb.versions import has_outer

How = Literal["inner", "left", "outer"]

# How many radii the margins of the left and the right catalog reach. A match is looked for around each left row: among
# the rows of its partition on the right, and the margin of that. An outer crossmatch also asks of each right row
# whether any left row takes it. That may be one across the border, within a radius of the partition; and which right
# row is the nearest to that one is only known with all within a radius of it, two radii from the partition. Where rows
# are moved after they were given margins, each of these steps is longer by the motion.
_RADII: dict[str, tuple[int, int]] = {"inner": (0, 1), "left": (0, 1), "outer": (1, 2)}


def crossmatch(
    left: Catalog, right: Catalog, radius_arcsec: float, *, how: How = "inner", **options: Any
) -> Catalog:
    """Crossmatch two catalogs of LSDB without losing a pair at the borders of partitions.

    It gives the catalogs the margins that the crossmatch needs, computed when they are used, and calls LSDB's
    crossmatch.

    Parameters
    ----------
    left, right : lsdb.Catalog
        The catalogs.
    radius_arcsec : float or astropy Quantity
        The largest separation of a pair: arcseconds, above 0 and at most 324,000 (90 degrees).
    how : {'inner', 'left', 'outer'}
        Which rows without a match are kept: none, those of `left`, or all.
    **options
        Other arguments of `lsdb.Catalog.crossmatch`, such as `n_neighbors` and `suffixes`. With an `algorithm`, which
        has a radius of its own, `radius_arcsec` only says how far it looks. `suffix_method` is ``"all_columns"`` if it
        is not given, which is LSDB's default, but LSDB warns about it.

    Returns
    -------
    lsdb.Catalog
        The result of LSDB's crossmatch. It has no margin: the next call gives it one if it needs one.

    Raises
    ------
    ArgumentError
        When an argument is not allowed.
    CatalogError
        When a catalog has no coordinates any more.

    Notes
    -----
    A margin that a catalog has is used if it is wide enough by its own statement.
    """
    require_catalog("left", left)
    require_catalog("right", right)
    radius_arcsec = allowed_arcsec("radius_arcsec", radius_arcsec)
    left_radii, right_radii = _radii(how)
    if how == "outer" and not has_outer():
        raise ArgumentError("how 'outer' is not allowed: LSDB has outer crossmatches since version 0.11.1")
    if left_radii:
        left = _with_at_least(left, left_radii * radius_arcsec)
    right = _with_at_least(right, right_radii * radius_arcsec)
    options.setdefault("suffix_method", "all_columns")
    if options.get("algorithm") is None:
        options["radius_arcsec"] = radius_arcsec
    return left.crossmatch(right, how=how, **options)


def recommend_threshold(
    radius_arcsec: float,
    *,
    how: How = "inner",
    years: float = 0.0,
    max_proper_motion_mas_per_year: float = 0.0,
) -> float:
    """The threshold of a stored margin with which crossmatches lose nothing, for the right one of two catalogs.

    Parameters
    ----------
    radius_arcsec : float or astropy Quantity
        The largest separation of a pair when it is matched: arcseconds.
    how : {'inner', 'left', 'outer'}
        The kind of crossmatch. An outer one needs twice as much, and a margin on the left, too: half of what is
        returned suffices there.
    years : float
        Years between the epoch of the catalog's positions and that of the match, if rows are moved by their proper
        motions.
    max_proper_motion_mas_per_year : float
        The largest proper motion, milliarcseconds per year. Barnard's star has 10,393. If the rows of both catalogs
        are moved, the sum of both largest.

    Returns
    -------
    float
        Arcseconds: the radius and how far the fastest row moves in these years; twice that for an outer crossmatch.

    Raises
    ------
    ArgumentError
        When an argument is not allowed, or the threshold would be above 90 degrees.

    Notes
    -----
    Rows that are moved stay in their partitions and margins. Give the margins before moving, for an outer crossmatch
    those of both catalogs: `crossmatch` knows nothing of the motion.

    Every pair is found then. But where the left catalog has no partition, or a larger one than the right, LSDB's outer
    crossmatch looks for left rows beside a partition within the radius alone. A moved row of the right can
    therefore be in a pair, and once more without a partner.

    Examples
    --------
    >>> from skymargin.lsdb import recommend_threshold
    >>> recommend_threshold(1.0)
    1.0
    >>> recommend_threshold(1.0, how="outer")
    2.0
    >>> recommend_threshold(1.0, years=16, max_proper_motion_mas_per_year=10_400)
    167.4
    >>> recommend_threshold(1.0, how="outer", years=16, max_proper_motion_mas_per_year=10_400)
    334.8
    """
    radius_arcsec = allowed_arcsec("radius_arcsec", radius_arcsec)
    _, radii = _radii(how)
    moved_arcsec = (
        _not_negative("years", years)
        * _not_negative("max_proper_motion_mas_per_year", max_proper_motion_mas_per_year)
        / 1000
    )
    return allowed_arcsec("the threshold", radii * (radius_arcsec + moved_arcsec))


def _radii(how: str) -> tuple[int, int]:
    if not isinstance(how, str) or how not in _RADII:
        raise ArgumentError(f"how {how!r} is not allowed: it must be one of {', '.join(map(repr, _RADII))}")
    return _RADII[how]


def _with_at_least(catalog: Catalog, threshold_arcsec: float) -> Catalog:
    """The catalog with its own margin if that is wide enough, else with one of ours."""
    if catalog.margin is not None:
        own_arcsec = catalog.margin.hc_structure.catalog_info.margin_threshold
        if own_arcsec is not None and own_arcsec >= threshold_arcsec:
            return catalog
    return with_margin(catalog, threshold_arcsec)


def _not_negative(name: str, value: object) -> float:
    number = as_float(value)
    # Negated so that NaN fails.
    if not 0 <= number < float("inf"):
        given = f"{value}" if is_quantity(value) else f"{value!r}"
        raise ArgumentError(f"{name} {given} is not allowed: it must be a number, 0 or more")
    return number
