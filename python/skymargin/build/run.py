"""The stages of a run on its workers: mapping, reducing, finishing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from skymargin.build.checkpoint.pending import PendingMargin, begin_in_place
from skymargin.build.checkpoint.state import RunState
from skymargin.build.execution.workers import Workers
from skymargin.build.planning import RunPlan
from skymargin.build.report import MarginReport
from skymargin.build.stages.finish import contents_of, empty_reason, finish
from skymargin.build.stages.map import MapResult, map_batch
from skymargin.build.stages.metadata_size import affordable_options
from skymargin.build.stages.plan import (
    average_row_bytes,
    largest_first,
    map_tasks,
    margin_writer,
    reduce_tasks,
)
from skymargin.build.stages.reduce import ReduceResult, margin_names, reduce_batch
from skymargin.build.stages.tasks import Job, MapTask, ReduceTask
from skymargin.build.subset.changes import take_over
from skymargin.build.subset.provenance import decided_by, write_record
from skymargin.catalogs.catalog import MarginContents
from skymargin.catalogs.row_counts import check_rows
from skymargin.progress import Stages


@dataclass(frozen=True)
class Run:
    """A planned run with its state and its workers.

    Attributes
    ----------
    plan : RunPlan
        What is read and made.
    state : RunState
        What is done.
    workers : Workers
        Where tasks run.
    stages : Stages
        The clock.
    job : Job
        What its tasks get.
    """

    plan: RunPlan
    state: RunState
    workers: Workers
    stages: Stages
    job: Job

    def map(self) -> tuple[list[MapResult], list[ReduceTask]]:
        """Write the shards of all partitions; what is known of the partitions, and the tasks that are left."""
        plan, state = self.plan, self.state
        tasks = map_tasks(plan.scope.sources, state.threads)
        with self.stages.stage("Mapping", total=len(plan.scope.sources.orders)) as advance:
            advance(sum(len(result.sizes) for result in state.mapped.values()))

            def keep(task: MapTask, result: MapResult) -> None:
                state.add_mapped(task, result)
                advance(len(result.sizes))

            todo = [task for task in tasks if task.number not in state.mapped]
            self.workers.run(map_batch, self.job, largest_first(todo), keep, self.job.memory.mapping)
            mapped = [*(state.mapped[task.number] for task in tasks), *plan.scope.unread]
            sizes = (size for result in mapped for size in result.sizes)
            check_rows(plan.catalog, {(order, pixel): rows for order, pixel, rows, _ in sizes})
            return mapped, self._reduce_tasks(mapped)

    def reduce(self, tasks: Sequence[ReduceTask]) -> None:
        """Write the files of all margins."""
        state = self.state
        done = {number for margin in state.margins for number in margin.reduced}
        with self.stages.stage("Reducing", total=sum(len(task.orders) for task in tasks)) as advance:
            advance(sum(len(task.orders) for task in tasks if task.number in done))

            def keep(task: ReduceTask, result: ReduceResult) -> None:
                state.add_reduced(task, result)
                advance(len(task.orders))

            todo = [task for task in tasks if task.number not in done]
            self.workers.run(reduce_batch, self.job, largest_first(todo), keep, self.job.memory.reducing)

    def finish(self, mapped: Sequence[MapResult]) -> None:
        """Make the files of each margin catalog a catalog, and record that all are made."""
        made = []
        with self.stages.stage("Finishing", total=1 + len(self.state.margins)) as advance:
            self.state.keep_only_margins()
            advance(1)
            for margin in self.state.margins:
                made.append(self._finish(margin, mapped))
                advance(1)
        reports = [
            self._report(margin, contents, mapped)
            for margin, contents in zip(self.state.margins, made, strict=True)
        ]
        self.state.record_made(reports)

    def _reduce_tasks(self, mapped: Sequence[MapResult]) -> list[ReduceTask]:
        """The tasks that write all margin catalogs, numbered through."""
        threads = self.state.begin_reducing(self.workers.threads)
        row_bytes = average_row_bytes(mapped)
        tasks: list[ReduceTask] = []
        for index, margin in enumerate(self.state.margins):
            output, threshold_index = margin.spec.output, margin.spec.threshold_index
            mark = margin.mark if margin.in_place else None
            writer = margin_writer(margin.data, self.plan.catalog, row_bytes, output, threshold_index, mark)
            own = reduce_tasks(self.state.mapped, index, writer, row_bytes, threads, first=len(tasks))
            rows = sum(result.rows_per_threshold[threshold_index] for result in mapped)
            kept, place = len(self.plan.scope.kept), margin.spec.target.catalog
            margin.output = affordable_options(place, writer, own, kept, rows)
            if margin.output != output:
                own = [replace(task, writer=replace(writer, output=margin.output)) for task in own]
            if margin.in_place:
                begin_in_place(margin, [name for task in own for name in margin_names(task)])
            tasks += own
        return tasks

    def _finish(self, margin: PendingMargin, mapped: Sequence[MapResult]) -> MarginContents:
        catalog, scope, spec, folder = self.plan.catalog, self.plan.scope, margin.spec, margin.partial
        rule = self.plan.spec.rule
        # In the order of the tasks, whichever was done first.
        written = [result for _, result in sorted(margin.reduced.items())]
        reduced = take_over(spec.target.paths.final, folder, catalog, scope, written, spec.output)
        output = margin.output or spec.output
        marks_folder = margin.marks_folder if margin.in_place else None
        contents = contents_of(spec.name, spec.threshold_arcsec, reduced, output, marks_folder)
        decided = decided_by(catalog, spec.threshold_arcsec, rule.fine_filtering, spec.output)
        write_record(folder, catalog, decided, scope.stamps, mapped)
        selected_rows = sum(result.rows_per_threshold[spec.threshold_index] for result in mapped)
        finish(folder, catalog, contents, selected_rows)
        return contents

    def _report(
        self, margin: PendingMargin, contents: MarginContents, mapped: Sequence[MapResult]
    ) -> MarginReport:
        catalog = self.plan.catalog
        partitions, fine_filtering = len(catalog.orders), self.plan.spec.rule.fine_filtering
        return MarginReport(
            catalog_path=str(margin.spec.target.catalog),
            rows=contents.rows,
            partitions=len(contents.orders),
            margin_threshold_arcsec=margin.spec.threshold_arcsec,
            primary_path=str(catalog.path),
            primary_rows=sum(result.primary_rows for result in mapped),
            primary_partitions=partitions,
            bytes_read=sum(result.bytes_read for result in mapped),
            pages_decoded=sum(result.pages_decoded for result in mapped),
            hints_ignored=sum(result.hints_ignored for result in mapped),
            seconds=dict(self.stages.seconds),
            empty_reason=empty_reason(contents, mapped, partitions, fine_filtering),
        )
