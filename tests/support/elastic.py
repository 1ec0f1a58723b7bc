"""Dask clusters on this machine that change while they work: workers in this process, or in processes of their own."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dask.config
import pytest
from distributed import Client, Nanny, Scheduler, SpecCluster, Worker

_HERE: dict[str, Any] = {
    "protocol": "tcp://",
    "host": "127.0.0.1",
    "dashboard": False,
    "dashboard_address": "127.0.0.1:0",
}
_WORKER = _HERE | {"nthreads": 1, "memory_limit": 0}
# A worker in this process starts at once, and sees what this process sees, such as files of `memory://`.
ABLE: dict[str, Any] = {"cls": Worker, "options": _WORKER}
# One in a process of its own does not see them.
BLIND: dict[str, Any] = {"cls": Nanny, "options": _WORKER | {"silence_logs": logging.CRITICAL}}
WITHOUT_SKYMARGIN = {
    "cls": Nanny,
    "options": BLIND["options"] | {"preload": ["import sys; sys.modules['skymargin'] = None"]},
}
StartCluster = Callable[..., SpecCluster]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartCluster]:
    """Start a cluster of some workers; `later` is what it starts when it is scaled up."""
    with ExitStack() as stack:

        def start_cluster(*workers: dict[str, Any], later: dict[str, Any] = ABLE) -> SpecCluster:
            folder = {"local_directory": str(tmp_path / "dask")}
            specs = [kind | {"options": kind["options"] | folder} for kind in (*workers, later)]
            return stack.enter_context(
                SpecCluster(
                    scheduler={"cls": Scheduler, "options": _HERE},
                    workers=dict(enumerate(specs[:-1])),
                    worker=specs[-1],
                    silence_logs=logging.CRITICAL,
                )
            )

        yield start_cluster
        # A cluster whose scheduler is gone tries so long to reach it when it is closed.
        with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
            stack.close()


@pytest.fixture
def connect(start: StartCluster) -> Iterator[Callable[..., Client]]:
    """The same, and a client of the cluster."""
    with ExitStack() as stack:

        def connect_to(*workers: dict[str, Any], later: dict[str, Any] = ABLE) -> Client:
            # So long it tries to reach a scheduler that is gone.
            return stack.enter_context(Client(start(*workers, later=later), timeout=2))

        yield connect_to
