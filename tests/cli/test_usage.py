"""What every command refuses: with one line, the right exit code, and no file left behind; and its help."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest

from skymargin.cli.main import cli, main

BUILD = "build {catalog} -t 10 -o out --no-progress"
USAGE = [
    ("", "Usage"),
    ("margin", "No such command 'margin'"),
    ("build", "Missing argument 'CATALOG'"),
    ("build catalog", "Missing option '-t' / '--threshold'"),
    ("build catalog --threshold 10", "Missing option '-o' / '--output'"),
    ("build catalog --threshold ten --output out", "'ten' is not a number of arcseconds, such as 10"),
    ("build catalog --threshold 1 --output out --wide", "No such option"),
    ("build catalog --threshold 1 --output out --workers 1.5", "is not a valid int"),
    (f"{BUILD} --pixel 3-17", "'3-17' is not ORDER/PIXEL"),
    (f"{BUILD} --property creator", "'creator' is not KEY=VALUE"),
    (f"{BUILD} --storage-option key", "'key' is not KEY=VALUE"),
    (f"{BUILD} --storage-option client_kwargs={{{{x", "is not valid JSON"),
    (f"{BUILD} --anon", "--storage-option and --anon are for URLs"),
    (f"{BUILD} --output-storage-option key=x", "--storage-option and --anon are for URLs"),
    (f"{BUILD} --storage-option key=x", "--storage-option and --anon are for URLs"),
    ("completion tcsh", "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
    (f"{BUILD} --with skymap", "'skymap' is not one of"),
    (f"{BUILD} --scheduler 127.0.0.1:1 --workers 2", "cannot be used with --scheduler"),
    ("demo extra", "unexpected extra argument"),
    ("verify", "Missing argument 'MARGIN'"),
    ("verify a b", "unexpected extra argument"),
    ("verify a --sample some", "'some' is not a valid integer"),
    ("info", "Missing argument 'CATALOG...'"),
    ("info a --rows", "No such option"),
    ("clean", "Missing argument 'FOLDER'"),
    ("clean . --older-than week", "'week' is not a valid float"),
    ("plot a", "Missing option '-o'"),
    ("plot a -o a.png --pixel 17", "'17' is not ORDER/PIXEL, such as 3/17"),
    ("plot a -o a.png --sky --pixel 3/17", "it cannot be used with --pixel or --view"),
    ("plot a -o a.png --view near", "'near' is not one of"),
]
ERRORS = [
    ("build nowhere -t 10 -o out", "error: CATALOG: there is nothing at nowhere"),
    # Its default name would be refused, but that is beside the point.
    ("build no,where -t 10 -o out", "error: CATALOG: there is nothing at no,where"),
    ("build {catalog}/dataset/Norder=1 -t 10 -o out", "Norder=1 is a folder of the catalog {catalog}: give "),
    (
        "build {commas} -t 10 -o out",
        "error: --name is required here: the default 'a,b_10arcs' is not allowed: it ",
    ),
    ("build foo://x/y -t 10 -o out", "error: CATALOG foo://x/y with its --storage-option cannot be used: "),
    (
        "verify {collection}",
        "{collection} is a collection: give one of the catalogs in it; its margins are {margin}",
    ),
    ("plot {collection} -o a.png", "give one of the catalogs in it; its margins are {margin}"),
    ("collection nowhere", "error: there is nothing at "),
    *(
        (f"build {{catalog}} -t {threshold} -o out", f"{float(threshold)} is not allowed")
        for threshold in ("0", "-1", "nan", "324000.1")
    ),
    (f"{BUILD} --margin-order 30", "--margin-order 30"),
    (f"{BUILD} --workers 0", "--workers 0"),
    (f"{BUILD} --threads 0", "--threads 0"),
    (f"{BUILD} --name a/b", "--name 'a/b' is not allowed"),
    (f"{BUILD} --name=", "--name '' is not allowed"),
    (f"{BUILD} --cone 1,2,300", "--cone is RA,DEC,RADIUS: "),
    (f"{BUILD} --cone 1,95,2", "; not 1.0,95.0,2.0"),
    (
        f"{BUILD} --add-to-collection --collection c",
        "--add-to-collection and --collection 'c' cannot be combined",
    ),
    (f"{BUILD} --scheduler foo", "--scheduler foo is not allowed: missing port number"),
    ("build ftp://nobody.invalid/x -t 10 -o out", "CATALOG ftp://nobody.invalid/x cannot be reached: "),
    ("info ftp://nobody.invalid/x", "ftp://nobody.invalid/x: gaierror: "),
    ("verify ftp://nobody.invalid/x", "ftp://nobody.invalid/x: gaierror: "),
    (f"{BUILD} --cone 1,2,3 --only-changed", "--cone and --only-changed cannot be combined"),
    (f"{BUILD} --coarse --only-changed", "--only-changed cannot be combined with --coarse"),
    (f"{BUILD} --default-margin", "--default-margin needs --add-to-collection"),
    (f"{BUILD} --tmp-dir https://host/x", "--tmp-dir https://host/x is not allowed"),
    (f"{BUILD} --memory-limit much", "--memory-limit 'much'"),
    (f"{BUILD} -t 5 -t 7 --coarse", "small_10arcs has --coarse; several margins"),
    (f"{BUILD} --pixel 1/48", "the pixel 48 is not allowed"),
    (f"{BUILD} --property hats_nrows=5", "the margin sets it"),
    (f"{BUILD} --compression zip", "--compression zip cannot be used"),
    (f"{BUILD} --row-group-rows 0", "--row-group-rows 0"),
    (f"{BUILD} --npix-suffix x", "--npix-suffix 'x'"),
    (f"{BUILD} --email nobody", "--email 'nobody'"),
    ("verify nowhere", "there is nothing at nowhere"),
    ("verify .", ". is not a catalog: it has no hats.properties"),
    ("verify {catalog}", "is not a margin: "),
    ("verify {margin} --primary nowhere", "there is nothing at nowhere"),
    ("verify {margin} --primary {margin}", "cannot be the primary catalog"),
    ("verify {margin} --sample 0", "--sample 0 is not allowed"),
    ("verify {margin} --sample 3 --seed -3", "--seed -3 is not allowed"),
    ("info nowhere", "there is nothing at nowhere"),
    ("info .", ". is not a catalog: it has no hats.properties"),
    ("clean nowhere --yes", "there is nothing at nowhere"),
    ("plot {margin} --pixel 3/62000 -o a.png", "pixel 3/62000 does not exist"),
    ("plot {margin} --pixel 29/250 -o a.png", "{margin} no margin of it; the nearest are "),
    ("plot {catalog} -o a.png", "{catalog} is not a margin"),
    ("plot nowhere -o a.png", "there is nothing at nowhere"),
    ("plot {margin} --primary nowhere -o a.png", "there is nothing at nowhere"),
    ("plot {margin} -o a.jpg", "a.jpg is not allowed: its name must end in .png, .pdf or .svg"),
    ("plot {margin} -o no/a.png", "there is no folder no"),
    (
        "plot {margin} --sky -o there.png",
        "there.png exists: choose another name, or replace it with --over",
    ),
]


@pytest.mark.parametrize(
    ("command", "complaint", "code"),
    [*((*case, 2) for case in USAGE), *((*case, 1) for case in ERRORS)],
)
def test_what_is_refused_leaves_no_file(
    command: str,
    complaint: str,
    code: int,
    small_catalog: Path,
    margins: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.png").write_text("precious")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(small_catalog, elsewhere / "a,b")
    (elsewhere / "collection.properties").write_text(
        f"obs_collection=sky\nhats_primary_table_url={small_catalog}\nall_margins={margins / 'margin'}\n"
    )
    places = {
        "catalog": small_catalog,
        "margin": margins / "margin",
        "collection": elsewhere,
        "commas": elsewhere / "a,b",
    }
    assert main(command.format(**places).split()) == code
    said = capsys.readouterr()
    assert not said.out
    assert complaint.format(**places) in said.err
    if code == 1:
        assert said.err.startswith("skymargin: error: ")
        assert said.err.count("\n") == 1
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"there.png": "precious"}


@pytest.mark.parametrize("command", ["--help", "--version", "build --help", "demo -h"])
def test_asking_for_help_is_no_error(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command.split()) == 0
    said = capsys.readouterr()
    assert said.out
    assert not said.err


def test_the_list_of_commands_has_whole_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    commands = capsys.readouterr().out.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in commands] == sorted(cli.commands)
    assert all(line.endswith(".") and not line.endswith("...") for line in commands)


def test_the_help_has_its_options_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--help"]) == 0
    said = capsys.readouterr().out
    titles = [line for line in said.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == [
        "Options:",
        "Workers and temporary files:",
        "Files on servers:",
        "Output and messages:",
        "Files of the margin catalog:",
    ]
    options = [option for option in cli.commands["build"].params if isinstance(option, click.Option)]
    assert len(options) > 20
    for option in options:
        assert option.help
        assert said.count(f"{option.opts[-1]} ") >= 1, option.opts
