"""Whether other threads of Python run while the core works."""

from __future__ import annotations

import threading
from collections.abc import Callable


def assert_other_threads_run(work: Callable[[], object]) -> None:
    """Assert that a loop in this thread turns while another one works without Python's lock."""
    working, turns = threading.Event(), 0

    def run() -> None:
        working.set()
        work()
        working.clear()

    thread = threading.Thread(target=run)
    thread.start()
    while thread.is_alive():
        turns += working.is_set()
    thread.join()
    # A lock that is held lets this loop run only before and after: a few turns of the switch interval.
    assert turns > 1000
