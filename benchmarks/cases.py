"""The catalogs that several parts measure on, and what is said about them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.generate import CatalogSpec, Spec
from benchmarks.imported import ImportedSpec
from benchmarks.special import OnePartitionSpec, SkewedSpec

THRESHOLD_ARCSEC = 10.0


@dataclass(frozen=True)
class Case:
    """A catalog and its title."""

    title: str
    spec: Spec


# Those of the comparison, in the order of the page.
CASES = {
    "small": Case("a small catalog: what start-up costs", CatalogSpec("narrow", 10_000, 12)),
    "imported-100": Case(
        "imported by hats-import: 10 M rows x 34 columns, ~100 partitions", ImportedSpec(200_000)
    ),
    "imported-1800": Case("imported by hats-import: the same rows, ~1,800 partitions", ImportedSpec(12_000)),
    "stars-100": Case("10 M rows x 34 columns, ~100 partitions", CatalogSpec("stars", 10_000_000, 100)),
    "stars-1800": Case("the same rows, ~1,800 partitions", CatalogSpec("stars", 10_000_000, 1_800)),
    "wide": Case(
        "4 GB of light curves, 40 kB a row, 64 partitions", CatalogSpec("light_curves", 100_000, 64)
    ),
    "one-partition": Case("one partition of 480 MB, 15 rows within the threshold", OnePartitionSpec()),
    "stars-100-yesterday": Case(
        "10 M rows x 34 columns, ~100 partitions, yesterday's layout",
        CatalogSpec("stars", 10_000_000, 100, "yesterday"),
    ),
    "wide-yesterday": Case(
        "4 GB of light curves, yesterday's layout", CatalogSpec("light_curves", 100_000, 64, "yesterday")
    ),
}

SKEWED = Case("10 M rows x 34 columns, half of them in one of 192 partitions", SkewedSpec())
