"""Messages on standard error, and an output that cannot be written."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from tqdm import tqdm

from skymargin.cli.main import main
from skymargin.cli.terminal import printed_messages
from tests.support.catalogs import files_of

LOGGER = logging.getLogger("skymargin")


def test_what_is_logged_is_said_in_the_words_of_options(capsys: pytest.CaptureFixture[str]) -> None:
    handlers = list(LOGGER.handlers)
    with printed_messages():
        LOGGER.warning(
            "%s: is thrown away, because %s", "out/a", "margin_threshold changed from 5.0\n to 10.0"
        )
        LOGGER.info("out/a: resumes")
    assert capsys.readouterr().err == (
        "skymargin: warning: out/a: is thrown away, because --threshold changed from 5.0 to 10.0\n"
    )
    assert LOGGER.handlers == handlers


def test_a_message_is_above_the_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with printed_messages(), tqdm(total=3, file=sys.stderr, mininterval=0) as bar:
        bar.update(1)
        warnings.simplefilter("always")
        warnings.warn("large", stacklevel=1)
        bar.update(1)
    # A bar has no line end before it is done.
    lines = [line.split("\r")[-1] for line in capsys.readouterr().err.split("\n")]
    assert "skymargin: warning: large" in lines


def test_pictures_of_damaged_catalogs_say_so_in_one_line(
    small_catalog: Path, margins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(small_catalog, tmp_path / "small  catalog"))
    order, pixel = min(files_of(copy))
    file = files_of(copy)[order, pixel]
    file.write_bytes(bytes(file.stat().st_size))
    picture = tmp_path / "margin.png"
    plot = ["plot", str(margins / "margin"), "--primary", str(copy), "--pixel", f"{order}/{pixel}"]
    assert main([*plot, "-o", str(picture)]) == 0
    said = capsys.readouterr()
    assert said.out == f"{picture}\n"
    (line,) = said.err.splitlines()
    # Both spaces in the name of the folder are there.
    assert line.startswith(f"skymargin: warning: not drawn: {file} ")


def run_to(output: int, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "skymargin", *map(str, arguments)],
        stdout=output,
        stderr=subprocess.PIPE,
        # What is printed is written at the end, as it is for users.
        env=os.environ | {"PYTHONUNBUFFERED": ""},
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_disk_is_one_line(options: list[str], small_catalog: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    done = run_to(full, "info", small_catalog, *options)
    os.close(full)
    assert done.returncode == 1
    assert done.stderr.decode() == (
        "skymargin: error: standard output cannot be written: [Errno 28] No space left on device\n"
    )


def test_a_reader_that_is_gone_is_no_news(small_catalog: Path) -> None:
    for command in (["--help"], ["info", small_catalog]):
        reader, writer = os.pipe()
        os.close(reader)
        done = run_to(writer, *command)
        os.close(writer)
        assert (done.returncode, done.stderr) == (1, b"")
