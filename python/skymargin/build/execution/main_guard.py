"""Scripts without a main guard: each worker process imports the script, and would start the run again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Names the file by which a worker process says that it was about to start the run again.
_VARIABLE = "SKYMARGIN_MAIN_GUARD"


@contextmanager
def watch_main_guard(folder: Path) -> Iterator[Callable[[], bool]]:
    """Watch worker processes that start within the block, with a file in a folder.

    Yields a function that says whether one of them was about to start the run again.
    """
    mark = folder / "main-guard-missing"
    os.environ[_VARIABLE] = str(mark)
    try:
        yield mark.exists
    finally:
        os.environ.pop(_VARIABLE, None)


def end_if_imported_by_worker() -> None:
    """End this process if it is a worker process that imports the script of the run which started it."""
    mark = os.environ.get(_VARIABLE)
    if mark is None:
        return
    import multiprocessing

    # Python has no other way to ask this; its own check, whose message is 20 lines long, does the same.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        with suppress(OSError):
            Path(mark).touch()
        # Without a traceback: the process that has started this one says what is wrong.
        os._exit(1)


def missing_guard(workers: int) -> str:
    """The message for a script without a main guard."""
    return (
        f"dask_n_workers={workers} starts worker processes, and each of them imports your script, which would start "
        'the run again: put what the script does below `if __name__ == "__main__":`, or use threads instead, '
        f"dask_n_workers=1 and dask_threads_per_worker={workers}"
    )
