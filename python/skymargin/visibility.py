"""Whether the workers of a client see the files of a run: better asked before the work than found out in it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from skymargin.errors import WorkerError
from skymargin.storage import exists, is_local

if TYPE_CHECKING:
    from distributed import Client

    from skymargin.storage import AnyPath


def check_visible(client: Client, places: Mapping[str, AnyPath]) -> None:
    """Wait for a worker, and have every worker look for the files of the run.

    Parameters
    ----------
    client
        A connected client. Workers that join later are not asked.
    places
        Something that exists, by the argument that says where it is. Names made up for the run tell a folder that
        is shared from one that only has the same path.

    Raises
    ------
    WorkerError
        When a worker does not see one of them, or has no skymargin that could look.
    """
    client.wait_for_workers(1)
    answers = client.run(missing, dict(places), on_error="return")
    blind = {worker: answer for worker, answer in sorted(answers.items()) if answer}
    if not blind:
        return
    worker, answer = next(iter(blind.items()))
    others = f" (and {len(blind) - 1} more of {len(answers)} workers)" if len(blind) > 1 else ""
    if isinstance(answer, BaseException):
        raise WorkerError(
            f"the Dask worker {worker}{others} cannot run skymargin: {type(answer).__name__}: {answer}; "
            "workers need the same version of it as this process"
        ) from answer
    raise WorkerError(
        f"the Dask worker {worker}{others} does not see {answer}; the catalog, the output and tmp_dir must be "
        "there for all workers, under the same paths"
    )


def missing(places: Mapping[str, AnyPath]) -> str:
    """Of the places, the first that this process does not see, in words; empty when it sees them all."""
    for argument, path in places.items():
        try:
            if exists(path):
                continue
            trouble = "there is no such file or folder" if is_local(path) else "there is nothing there"
        except Exception as error:
            trouble = f"{type(error).__name__}: {error}"
        return f"{path} ({argument}) on {socket.gethostname()}: {trouble}"
    return ""
