"""Planning a run: its arguments and the catalog become one frozen plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from skymargin.build.preflight import Target, check_apart
from skymargin.build.stages.plan import catalog_tiling, check_output_options, selection_rule
from skymargin.build.stages.tasks import RunSpec, SelectionRule
from skymargin.build.subset.changes import changed_scope
from skymargin.build.subset.provenance import file_marks, partition_stamps
from skymargin.build.subset.scope import Scope, touched
from skymargin.catalogs.catalog import Catalog, open_catalog
from skymargin.catalogs.leaf_paths import partition_paths
from skymargin.catalogs.output_options import OutputOptions
from skymargin.progress import Stages
from skymargin.storage.paths import absolute, exists

if TYPE_CHECKING:
    from collections.abc import Sequence

    from skymargin._core import Tiling
    from skymargin.build.arguments import MarginCacheArguments


@dataclass(frozen=True)
class MarginSpec:
    """One margin catalog of a run.

    Attributes
    ----------
    target : Target
        Where it goes, and what it may replace there.
    threshold_arcsec : float
        Its threshold.
    threshold_index : int
        The place of that among the thresholds of the run.
    output : OutputOptions
        The options of its files.
    default_margin : bool
        Whether it becomes the default margin of its collection.
    """

    target: Target
    threshold_arcsec: float
    threshold_index: int
    output: OutputOptions
    default_margin: bool

    @property
    def name(self) -> str:
        """Its name."""
        return self.target.catalog.name


@dataclass(frozen=True)
class RunPlan:
    """What a run reads and makes.

    Attributes
    ----------
    catalog : Catalog
        The primary catalog, or the part of it that is used.
    tiling : Tiling
        Its partitions and the empty pixels around them.
    spec : RunSpec
        What every task needs to know.
    scope : Scope
        Which margins are made, and which partitions are read for them.
    margins : tuple of MarginSpec
        The margin catalogs, the widest first.
    file_marks : dict of str to str
        What identifies the version of each file of the catalog.
    in_this_process : bool
        Whether its tasks run in threads of this process, and end with it.
    """

    catalog: Catalog
    tiling: Tiling
    spec: RunSpec
    scope: Scope
    margins: tuple[MarginSpec, ...]
    file_marks: dict[str, str]
    in_this_process: bool = False


def plan_run(margins: Sequence[MarginCacheArguments], stages: Stages, *, shares_disk: bool = True) -> RunPlan:
    """Check all that can be checked before work begins; nothing is written.

    The arguments are those of each margin catalog, the widest first. `shares_disk` says whether workers are known to
    share a disk with this process.

    Raises
    ------
    SkymarginError
        When the margins cannot be made.
    """
    first = margins[0]
    with stages.stage("Planning", total=3) as advance:
        paths = partition_paths(first.path_generator, first.input_storage_options)
        catalog = open_catalog(first.primary_path, paths)
        catalog = catalog.overlapping(list(first.debug_filter_pixel_list or ()))
        advance(1)
        for args in margins:
            check_apart(catalog.path, args.target.catalog)
        thresholds_arcsec = list(dict.fromkeys(args.margin_threshold for args in margins))
        rule = selection_rule(thresholds_arcsec, first.search_order, first.fine_filtering, catalog)
        specs = []
        for args in margins:
            output = OutputOptions.of(args)
            check_output_options(catalog, output)
            index = thresholds_arcsec.index(args.margin_threshold)
            # The threshold of a coarse margin may have been chosen.
            threshold_arcsec = rule.thresholds_arcsec[index]
            target = args.target_for(shares_disk=shares_disk)
            specs.append(MarginSpec(target, threshold_arcsec, index, output, args.default_margin))
        advance(1)
        tiling = catalog_tiling(catalog)
        marks = file_marks(catalog)
        scope = _scope(first, specs[0], catalog, rule, tiling, partition_stamps(catalog, marks))
        spec = RunSpec(
            catalog_path=absolute(catalog.path),
            files_root=absolute(catalog.root),
            columns=catalog.columns,
            schema=catalog.schema,
            orders=catalog.orders,
            pixels=catalog.pixels,
            rule=rule,
            check_index=first.check_index,
            margins=scope.margins,
        )
        advance(1)
    in_this_process = shares_disk and first.dask_n_workers == 1
    return RunPlan(catalog, tiling, spec, scope, tuple(specs), marks, in_this_process)


def _scope(
    args: MarginCacheArguments,
    margin: MarginSpec,
    catalog: Catalog,
    rule: SelectionRule,
    tiling: Tiling,
    stamps: list[str],
) -> Scope:
    if args.only_changed:
        existing, old = margin.target.paths.final, margin.target.paths.old
        if not exists(existing) and exists(old):
            # A run was killed between its last two moves; this one completes or undoes them.
            existing = old
        return changed_scope(existing, catalog, rule, tiling, margin.output, stamps)
    if args.cone is not None:
        # The layout of files depends on the average row of the catalog, so all partitions are read; of those without
        # a row for these margins, the footers only.
        return Scope(catalog, stamps, frozenset(touched(tiling, args.cone)))
    return Scope(catalog, stamps)
