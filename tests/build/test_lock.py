"""One run at a time: locks that two cannot have, and that nobody leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from skymargin.build.checkpoint.lock import locked
from skymargin.build.run_paths import RunPaths
from skymargin.errors import OutputInUseError, StorageError


def test_a_lock_is_had_once_and_leaves_nothing(tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "deep" / "two"]
    with locked(files, "the margin"):
        assert all(file.exists() for file in files)
        for file in files:
            with (
                pytest.raises(OutputInUseError, match="another run is making the margin") as caught,
                locked([file], "the margin"),
            ):
                pass
            assert f"process {os.getpid()} on " in str(caught.value)
    assert not any(file.exists() for file in files)
    with locked(files, "the margin"):
        pass


def test_what_is_had_is_let_go_when_another_is_not_to_be_had(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    with locked([second], "it"):
        with pytest.raises(OutputInUseError), locked([first, second], "it"):
            pass
        with locked([first], "it"):
            pass


def test_a_killed_process_has_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from skymargin.build.checkpoint.lock import locked\n"
        "with locked([Path(sys.argv[1])], 'it'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "lock")]).returncode < 0
    assert (tmp_path / "lock").exists()
    with locked([tmp_path / "lock"], "it"):
        pass
    assert not (tmp_path / "lock").exists()


def test_many_want_one_lock(tmp_path: Path) -> None:
    """The files that are removed and made again in between never let two in."""
    inside, most, refused = [0], [0], [0]
    counting = threading.Lock()

    def want() -> None:
        for _ in range(200):
            try:
                with locked([tmp_path / "lock"], "it"):
                    with counting:
                        inside[0] += 1
                        most[0] = max(most[0], inside[0])
                    with counting:
                        inside[0] -= 1
            except OutputInUseError:
                with counting:
                    refused[0] += 1

    threads = [threading.Thread(target=want) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert 0 < refused[0] < 1_200


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(StorageError, match="file cannot be written to"),
        locked([tmp_path / "file" / "lock"], "it"),
    ):
        pass


def test_folders_are_the_same_however_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    paths = RunPaths(tmp_path / "link" / "margin", tmp_path / "out" / ".." / "out", tmp_path / "link")
    assert paths.intermediate == paths.progress == tmp_path / "link"
    assert paths.key == RunPaths(*(tmp_path / "out" / name for name in ("margin", "", ""))).key
    assert [file.parent for file in paths.locks] == [tmp_path / "link"]
    paths.shards("0123abcd").mkdir()
    assert paths.leftovers() == [paths.shards("0123abcd")]


def test_locks_are_those_of_the_place_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "out")
    straight = RunPaths(tmp_path / "out" / "margin", tmp_path / "a", tmp_path / "a")
    by_link = RunPaths(tmp_path / "link" / "margin", tmp_path / "b", tmp_path / "b")
    other = RunPaths(tmp_path / "margin", tmp_path / "a", tmp_path / "a")
    assert straight.key == by_link.key != other.key
    with locked(straight.locks, "it"):
        with pytest.raises(OutputInUseError), locked(by_link.locks, "it"):
            pass
        with locked(other.locks, "it"):
            pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="a file system that makes no files, of Linux")
def test_where_no_lock_can_be_made_no_other_run_is_blamed() -> None:
    with (
        pytest.raises(StorageError, match=r"^/proc cannot be written to: "),
        locked([Path("/proc/stars_3arcs.lock")], "/proc/stars_3arcs"),
    ):
        pass
