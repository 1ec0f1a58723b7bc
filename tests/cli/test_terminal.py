"""What is printed on a terminal and elsewhere: bars, colours, summaries; and what `-q` leaves."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on Windows")
fcntl = pytest.importorskip("fcntl")
termios = pytest.importorskip("termios")

ESCAPE = "\x1b["


def on_terminal(*arguments: object, **environment: str) -> tuple[int, str]:
    """Run the command on a terminal of its own; its exit code, and all that it printed."""
    ours, theirs = pty.openpty()
    # Of 40 lines with 120 letters.
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "skymargin", *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **environment},
    )
    os.close(theirs)
    printed = b""
    # Linux ends what a closed terminal prints with an error.
    try:
        while chunk := os.read(ours, 1 << 16):
            printed += chunk
    except OSError:
        pass
    os.close(ours)
    return process.wait(), printed.decode()


def in_pipes(*arguments: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "skymargin", *map(str, arguments)], capture_output=True, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_bars_on_a_terminal_alone(small_catalog: Path, tmp_path: Path) -> None:
    build = ["build", small_catalog, "-t3600", "-o", tmp_path, "--name"]
    code, printed = on_terminal(*build, "bars")
    assert code == 0
    assert {"Planning", "Mapping", "Reducing", "Finishing"} <= set(re.findall(r"[A-Z][a-z]+ing", printed))
    summary = printed.strip().splitlines()[-1]
    assert summary.startswith(f"{tmp_path / 'bars'}: ")

    code, printed = on_terminal(*build, "none", "--no-progress")
    (line,) = printed.splitlines()
    assert (code, line.partition(" ")[0]) == (0, f"{tmp_path / 'none'}:")

    code, printed = on_terminal(*build, "quiet", "-q")
    assert (code, printed) == (0, "")

    # A log file gets lines.
    code, printed, messages = in_pipes(*build, "log")
    assert (code, messages) == (0, "")
    assert "\r" not in printed
    (line,) = printed.splitlines()
    assert line.startswith(f"{tmp_path / 'log'}: ")


def test_verification_on_a_terminal(margins: Path) -> None:
    code, printed = on_terminal("verify", margins / "margin")
    assert code == 0
    assert "Verifying" in printed
    assert f"Result  : {ESCAPE}32m{ESCAPE}1mright{ESCAPE}0m; " in printed
    code, printed = on_terminal("verify", margins / "coarse", "--no-progress")
    assert code == 1
    assert "Verifying" not in printed
    assert f"Result  : {ESCAPE}31m{ESCAPE}1mWRONG{ESCAPE}0m: " in printed


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colour_where_nobody_wants_it(environment: dict[str, str], margins: Path) -> None:
    for command in (["verify", margins / "coarse", "--no-progress"], ["info", "nowhere"]):
        code, printed = on_terminal(*command, **environment)
        assert code == 1
        assert ESCAPE not in printed


def test_messages_have_colours_on_a_terminal_alone(small_catalog: Path, tmp_path: Path) -> None:
    build = ["build", small_catalog, "-t", "0.001", "-o", tmp_path, "--dry-run"]
    code, printed = on_terminal(*build)
    assert code == 0
    assert (
        f"skymargin: {ESCAPE}33m{ESCAPE}1mwarning:{ESCAPE}0m --threshold 0.001 is a number of arcsec"
        in printed
    )
    code, printed = on_terminal("info", tmp_path / "nowhere")
    assert (code, printed.rstrip()) == (
        1,
        f"skymargin: {ESCAPE}31m{ESCAPE}1merror:{ESCAPE}0m there is nothing at {tmp_path / 'nowhere'}",
    )
    code, printed, messages = in_pipes(*build)
    assert code == 0
    assert messages.startswith(
        "skymargin: warning: --threshold 0.001 is a number of arcseconds: did you mean "
    )
    assert ESCAPE not in printed + messages
    assert len(messages.splitlines()) == 1


def test_quiet_demo_and_picture(margins: Path, tmp_path: Path) -> None:
    picture = tmp_path / "margin.png"
    assert on_terminal("plot", margins / "margin", "-o", picture, "--view", "whole", "-q") == (0, "")
    assert picture.is_file()
    (tmp_path / "margin.png").rename(tmp_path / "gaia_dr3_bright")
    code, printed = on_terminal("demo", "-o", tmp_path, "-q")
    assert (code, len(printed.splitlines())) == (1, 1)
    assert "gaia_dr3_bright exists: choose another --output" in printed
