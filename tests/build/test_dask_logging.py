"""What a user's script logs, and how, while workers of a run start, work and end, and afterwards."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import distributed
import pytest

from skymargin.build.execution.dask_logging import quiet_dask
from tests.support.catalogs import ids_of, make_margin
from tests.support.processes import run

# Each worker process imports the script, and has the same handler.
SCRIPT = """
import logging, sys, threading, time
{first}
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
{then}
from skymargin import MarginCacheArguments, pipeline

def configuration():
    root = logging.getLogger()
    handlers = tuple((id(handler), handler.level, tuple(handler.filters)) for handler in root.handlers)
    return root.level, root.disabled, tuple(root.filters), handlers, logging.root.manager.disable

def log_all_the_time(seen, end):
    number = 0
    while not end.wait(0.02):
        seen.append(configuration())
        logging.getLogger("survey").info("%d", number)
        number += 1

def levels():
    handlers = [handler.level for handler in logging.getLogger("distributed").handlers]
    loggers = {{name: logging.getLogger(name).level for name in sorted(logging.root.manager.loggerDict)}}
    return handlers, loggers

if __name__ == "__main__":
    import distributed
    before, levels_before, seen, end = configuration(), levels(), [], threading.Event()
    thread = threading.Thread(target=log_all_the_time, args=(seen, end))
    thread.start()
    pipeline(MarginCacheArguments(
        "out", "margin", input_catalog_path={catalog!r}, margin_threshold=3600, dask_n_workers=2, progress_bar=False
    ))
    end.set()
    thread.join()
    assert set(seen) == {{before}}, (before, set(seen))
    assert configuration() == before
    handlers, loggers = levels()
    assert handlers == levels_before[0]
    assert {{name: loggers[name] for name in levels_before[1]}} == levels_before[1]
    print(len(seen))
"""


@pytest.mark.parametrize("import_first", [False, True])
def test_all_that_a_script_logs_arrives_and_nothing_of_dask(
    import_first: bool, small_catalog: Path, tmp_path: Path
) -> None:
    """Dask's messages go to its own handler when it is imported first, else to those of the root logger."""
    dask = "import distributed"
    script = tmp_path / "script.py"
    first, then = (dask, "") if import_first else ("", dask)
    script.write_text(SCRIPT.format(first=first, then=then, catalog=str(small_catalog)))
    done = run([sys.executable, script.name], tmp_path)
    number = int(done.stdout)
    assert number > 10
    assert done.stderr.splitlines() == [f"survey INFO {record}" for record in range(number)]
    make_margin(small_catalog, tmp_path, 3600.0, "by_threads")
    assert ids_of(tmp_path / "out" / "margin") == ids_of(tmp_path / "by_threads")


def test_the_last_of_several_runs_restores_the_levels() -> None:
    assert distributed
    top, client, worker = (
        logging.getLogger(f"distributed{name}") for name in ("", ".client", ".worker.memory")
    )
    before = [logger.level for logger in (top, client, worker)]
    try:
        top.setLevel(logging.INFO)
        client.setLevel(logging.DEBUG)
        one, other = quiet_dask(), quiet_dask()
        with one:
            other.__enter__()
            assert [logger.getEffectiveLevel() for logger in (top, client, worker)] == [logging.CRITICAL] * 3
        # The one that began first has ended.
        assert not client.isEnabledFor(logging.ERROR)
        client.setLevel(logging.ERROR)
        other.__exit__(None, None, None)
        assert top.level == logging.INFO
        # It was set meanwhile.
        assert client.level == logging.ERROR
        assert worker.level == before[2]
    finally:
        for logger, level in zip((top, client, worker), before, strict=True):
            logger.setLevel(level)
