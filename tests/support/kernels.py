"""The kernel of a notebook: a process that runs cells, is interrupted, and says what it would show."""

from __future__ import annotations

import os
import queue
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SECONDS = 120


@dataclass
class Shown:
    """What a cell shows.

    Attributes
    ----------
    printed
        Text on standard output and standard error.
    data
        What is displayed, by media type, in order.
    error
        Name of the error that ended it, and its traceback as text; empty when there was none.
    """

    printed: str = ""
    data: list[dict[str, Any]] = field(default_factory=list)
    error: tuple[str, str] = ("", "")


class Kernel:
    """A running kernel."""

    def __init__(self, manager: Any, client: Any) -> None:
        self._manager = manager
        self._client = client

    def run(self, code: str, interrupt_when: Callable[[], bool] | None = None) -> Shown:
        """Run a cell to its end; it is interrupted as the button of a notebook does it when it is time for that."""
        shown, message_id, deadline = Shown(), self._client.execute(code), time.monotonic() + _SECONDS
        while True:
            assert time.monotonic() < deadline, shown
            if interrupt_when is not None and interrupt_when():
                self._manager.interrupt_kernel()
                interrupt_when = None
            try:
                message = self._client.get_iopub_msg(timeout=0.05)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != message_id:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    shown.printed += content["text"]
                case "execute_result" | "display_data":
                    shown.data.append(content["data"])
                case "error":
                    shown.error = content["ename"], _plain("\n".join(content["traceback"]))
                case "status" if content["execution_state"] == "idle":
                    return shown


def _plain(text: str) -> str:
    """Text without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@contextmanager
def kernel(folder: Path) -> Iterator[Kernel]:
    """A kernel whose own files are in a folder, which is also where it runs."""
    from jupyter_client.manager import KernelManager

    own = {name: str(folder / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}
    manager = KernelManager(
        kernel_name="python3",
        connection_file=str(folder / "kernel.json"),
        transport="tcp" if os.name == "nt" else "ipc",
    )
    manager.start_kernel(cwd=str(folder), env={**os.environ, **own})
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=_SECONDS)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
