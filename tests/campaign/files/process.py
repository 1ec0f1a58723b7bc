"""Files of one library, checked in a process: ``python -m tests.campaign.files.process WRITER SEED FILES FOLDER``.

It prints the number of files that were right, that of catalogs which pyarrow does not read itself, and the first
failure with the smallest catalog that has it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.support.parquet_writers import WRITERS
from tests.support.varied_catalogs import Case, NotReadError, cases, check

# As many as the smallest sky has partitions.
_FILES_PER_CATALOG = 32


@dataclass
class Counts:
    """What came of the files."""

    right: int = 0
    not_read: int = 0
    failure: str = ""


def run(writer: str, random_seed: int, files: int, folder: Path) -> Counts:
    """Check catalogs of a library until at least so many files were right, or one catalog was not."""
    counts = Counts()
    while counts.right < files and not counts.failure:
        catalogs = -(-(files - counts.right) // _FILES_PER_CATALOG)
        _run_some(counts, writer, random_seed, catalogs, folder)
        random_seed += 1_000_000
    return counts


def _run_some(counts: Counts, writer: str, random_seed: int, catalogs: int, folder: Path) -> None:
    def one(case: Case) -> None:
        try:
            counts.right += check(case, folder)
        except NotReadError:
            counts.not_read += 1

    test = settings(
        max_examples=catalogs,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        print_blob=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )(seed(random_seed)(given(cases(folder, writer))(one)))
    try:
        test()
    except Exception as error:
        # The smallest catalog is in its notes.
        notes = " ".join(getattr(error, "__notes__", ()))
        counts.failure = f"{type(error).__name__}: {str(error)[:1_000]} {notes[:3_000]}"


def main() -> None:
    """Check the files and print the counts."""
    writer, random_seed, files, folder = sys.argv[1:]
    assert writer in WRITERS, writer
    print(json.dumps(asdict(run(writer, int(random_seed), int(files), Path(folder)))))


if __name__ == "__main__":
    main()
