"""Estimate what a run would read and write, without writing anything.

The margins that can get rows follow from geometry, computed for every partition. Rows, bytes and time are extrapolated
from a few partitions that are read as the run would read them. These are spread over the sky, and those with more rows
and more edge are chosen with a higher probability.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import skymargin._core as _core
from skymargin.build import preflight
from skymargin.build.memory import MemoryShares
from skymargin.build.multiple import validate_one
from skymargin.build.planning import plan_run
from skymargin.build.stages.partition_scan import PartitionScan, feeds, make_scanner, only_of
from skymargin.build.stages.plan import catalog_format
from skymargin.catalogs.catalog import Catalog
from skymargin.formatting import arcsec_text, counted, readable_bytes, seconds_text
from skymargin.geometry.pixels import pixels_of, starts_of
from skymargin.interrupts import with_short_interrupts
from skymargin.progress import Stages
from skymargin.shown import Shown, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa

    from skymargin._core import Margins, Scanner
    from skymargin.build.arguments import MarginCacheArguments
    from skymargin.build.stages.tasks import RunSpec
    from skymargin.catalogs.layout import Pixel
    from skymargin.catalogs.output_options import OutputOptions

# Sixteen leave an error of some 25 % where density varies smoothly.
_MEASURED_PARTITIONS = 16
# How many of the selected rows are kept for the sample that is written to memory.
_KEPT_ROWS = 20_000


@dataclass(frozen=True)
class MarginPlan(Shown):
    """What a run would read and write.

    Attributes
    ----------
    catalog_path : str
        Where the margin catalog would be.
    primary_path : str
        Its primary catalog.
    margin_threshold_arcsec : float
        The threshold.
    primary_partitions : int
        Partitions of that catalog.
    sources : int
        Partitions that the run has to read.
    most_partitions : int
        Margins that can get rows, including those of empty pixels: never fewer than the run writes.
    kept_partitions : int
        Margins that are taken over from the existing margin catalog, with `only_changed`.
    measured_partitions : int
        Partitions that were read to estimate the rest.
    estimated_primary_rows, estimated_rows : int
        Rows of the sources, as the catalog states them when it is read as a whole; rows of the margins that are made.
    estimated_bytes_read : int
        Bytes to fetch from the catalog.
    estimated_size_bytes : int
        Size of the files of the margins that are made.
    estimated_seconds : float
        Time for it with the workers of the arguments, on this machine.
    exact : bool
        Whether all sources were read, so that rows and bytes are no estimates.
    exact_primary_rows : bool
        Whether the rows of the sources are no estimate.
    """

    catalog_path: str
    primary_path: str
    margin_threshold_arcsec: float
    primary_partitions: int
    sources: int
    most_partitions: int
    kept_partitions: int
    measured_partitions: int
    estimated_primary_rows: int
    estimated_rows: int
    estimated_bytes_read: int
    estimated_size_bytes: int
    estimated_seconds: float
    exact: bool
    exact_primary_rows: bool

    def summary(self) -> str:
        """A few readable lines."""
        return "\n".join(
            [
                f"{self.catalog_path}: nothing was written",
                f"threshold {arcsec_text(self.margin_threshold_arcsec)}; catalog {self.primary_path}",
                f"writes at most {self._partitions()}",
                f"writes {self._rows()}",
                f"reads {self._reads()}",
                f"takes about {seconds_text(self.estimated_seconds)}",
            ]
        )

    def _table(self) -> Table:
        rows = [
            ("margin", self.catalog_path),
            ("threshold", arcsec_text(self.margin_threshold_arcsec)),
            ("catalog", self.primary_path),
            ("writes", f"{self._rows()}, in at most {self._partitions()}"),
            ("reads", self._reads()),
            ("takes", f"about {seconds_text(self.estimated_seconds)}"),
        ]
        return Table("Margin planned, nothing was written", rows)

    def _partitions(self) -> str:
        kept = f"; {self.kept_partitions:,} more are taken over as they are" if self.kept_partitions else ""
        return f"{counted(self.most_partitions, 'partition')}{kept}"

    def _rows(self) -> str:
        about = "" if self.exact else "about "
        return (
            f"{about}{counted(self.estimated_rows, 'row')}, about {readable_bytes(self.estimated_size_bytes)}"
        )

    def _reads(self) -> str:
        if not self.sources:
            return "no partition"
        about = "" if self.exact else "about "
        basis = (
            "all of them were read for this"
            if self.exact
            else f"rows, sizes and time are estimated from {self.measured_partitions:,} of them, read as the run would"
        )
        about_rows = "" if self.exact_primary_rows else "about "
        return (
            f"{about}{readable_bytes(self.estimated_bytes_read)} of {about_rows}"
            f"{counted(self.estimated_primary_rows, 'row')} in {self.sources:,} of "
            f"{counted(self.primary_partitions, 'partition')}; {basis}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain values, for JSON."""
        return dataclasses.asdict(self)


@dataclass
class _Measured:
    """A partition that was read: how often it was chosen, the probability of that, and its numbers."""

    times: int
    weight: float
    primary_rows: int
    rows: int
    bytes_read: int
    seconds: float


@with_short_interrupts
def plan_margin(args: MarginCacheArguments) -> MarginPlan:
    """Estimate what a run would read and write, without writing anything.

    The margins that can get rows are exact. Rows, bytes and time are estimated from up to 16 partitions that are read
    as the run would read them. For a catalog with at most 16 partitions, all but time and size is exact. Where the
    density varies smoothly, the rows are right within a factor of 2.

    Parameters
    ----------
    args
        The arguments of the run.

    Returns
    -------
    MarginPlan
        The estimate.

    Raises
    ------
    SkymarginError
        When the run would be refused: the catalog is incomplete, the output exists, an argument is not allowed.
    """
    began = time.perf_counter()
    validate_one(args)
    preflight.check(args.target)
    plan = plan_run([args], Stages(progress_bar=False))
    catalog, spec, scope, sources = plan.catalog, plan.spec, plan.scope, plan.scope.sources
    margins = spec.rule.margins(plan.tiling)
    destinations, feeding = _destinations(margins, sources, spec)
    planning = time.perf_counter() - began
    chosen, weights = _chosen(sources, feeding)
    transport = _core.transport_schema(catalog.schema)
    scanner = make_scanner(transport, catalog.columns, MemoryShares().scan_bytes, spec.check_index)
    samples: list[pa.RecordBatch] = []
    measured = [
        _measure(sources, number, times, weights[number], spec, margins, scanner, samples)
        for number, times in chosen.items()
    ]
    exact = len(measured) == len(sources.orders)

    def whole(quantity: str) -> float:
        if exact:
            return float(sum(getattr(sample, quantity) for sample in measured))
        # Weighted by the inverse of the probability of being chosen.
        draws = sum(sample.times for sample in measured)
        weighted = (sample.times * getattr(sample, quantity) / sample.weight for sample in measured)
        return float(sum(weighted)) / draws

    rows = round(whole("rows"))
    # A run checks what the catalog states.
    stated = sources.stated_rows[0].rows if sources.stated_rows and not exact else None
    size_bytes, writing = _written(samples, rows, len(destinations), catalog, plan.margins[0].output)
    threads = args.dask_n_workers * args.dask_threads_per_worker
    return MarginPlan(
        catalog_path=str(args.catalog_path),
        primary_path=str(catalog.path),
        margin_threshold_arcsec=spec.rule.widest_arcsec,
        primary_partitions=len(catalog.orders),
        sources=len(sources.orders),
        most_partitions=len(destinations),
        kept_partitions=len(scope.kept),
        measured_partitions=len(measured),
        estimated_primary_rows=round(whole("primary_rows")) if stated is None else stated,
        estimated_rows=rows,
        estimated_bytes_read=round(whole("bytes_read")),
        estimated_size_bytes=size_bytes,
        estimated_seconds=planning + (whole("seconds") + writing) / threads,
        exact=exact,
        exact_primary_rows=exact or stated is not None,
    )


def _destinations(margins: Margins, sources: Catalog, spec: RunSpec) -> tuple[set[Pixel], np.ndarray]:
    """The margins that can get rows, and which of the sources can have rows for any."""
    import numpy as np

    destinations: set[Pixel] = set()
    feeding = np.zeros(len(sources.orders), dtype=bool)
    for number, partition in enumerate(sources.partitions):
        pixels = set(pixels_of(margins.cover(*partition, rows=1).destinations()))
        if spec.margins is not None:
            pixels &= spec.margins
        destinations |= pixels
        feeding[number] = bool(pixels)
    return destinations, feeding


def _chosen(sources: Catalog, feeding: np.ndarray) -> tuple[dict[int, int], np.ndarray]:
    """Numbers of the partitions to measure with how often each was chosen, and the probability of each."""
    import numpy as np

    count = len(sources.orders)
    if count <= _MEASURED_PARTITIONS:
        return dict.fromkeys(range(count), 1), np.ones(count)
    # The share of rows near an edge grows with edge / area, which doubles with each order.
    size = sources.size_bytes * 2.0**sources.orders * np.where(feeding, 1.0, 0.05)
    weights = size / size.sum()
    along_sky = np.argsort(starts_of(sources.orders, sources.pixels))
    places = (np.arange(_MEASURED_PARTITIONS) + 0.5) / _MEASURED_PARTITIONS
    drawn = along_sky[np.searchsorted(np.cumsum(weights[along_sky]), places).clip(max=count - 1)]
    numbers, times = np.unique(drawn, return_counts=True)
    return dict(zip(numbers.tolist(), times.tolist(), strict=True)), weights


def _measure(
    sources: Catalog,
    number: int,
    times: int,
    weight: float,
    spec: RunSpec,
    margins: Margins,
    scanner: Scanner,
    samples: list[pa.RecordBatch],
) -> _Measured:
    """Read one partition as mapping does; some of its rows for margins are added to `samples`."""
    began = time.perf_counter()
    files = [sources.root / name for name in sources.files[number]]
    scan = PartitionScan(scanner, files, sources.sizes_of(number))
    cover = margins.cover(
        int(sources.orders[number]),
        int(sources.pixels[number]),
        rows=scan.rows,
        index_order=spec.columns.index_order,
    )
    rows = 0
    if spec.margins is None or feeds(cover, spec.margins):
        for selection in scan.select(cover):
            kept = selection if spec.margins is None else only_of(selection, spec.margins)
            rows += kept.memberships.num_rows
            if kept.memberships.num_rows and sum(batch.num_rows for batch in samples) < _KEPT_ROWS:
                samples.append(kept.rows)
    return _Measured(times, weight, scan.rows, rows, scan.bytes_read, time.perf_counter() - began)


def _written(
    samples: Sequence[pa.RecordBatch], rows: int, destinations: int, catalog: Catalog, output: OutputOptions
) -> tuple[int, float]:
    """Bytes and seconds of all margins, from one of average size that is written to memory."""
    import pyarrow as pa

    if not (samples and rows and destinations):
        return 0, 0.0
    margins = min(rows, destinations)
    average = max(1, round(rows / margins))
    (sample,) = pa.Table.from_batches(samples).slice(0, average).combine_chunks().to_batches()
    began = time.perf_counter()
    content, _ = catalog_format(catalog, output).open().encode([sample])
    seconds = time.perf_counter() - began
    whole = sample.num_rows / average
    return round(len(content) * margins / whole), seconds * margins / whole
