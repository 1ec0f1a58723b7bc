"""Hostile names, paths and properties: in arguments, and in what a catalog says of itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq

from tests.campaign.hostile.files import change_tables
from tests.campaign.hostile.process import Asked, Case, Sandbox, build, tampered

# Ends of lines and of texts for one reader or another, and what a terminal acts upon.
_ODD = ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x1b[2J", "\x85", "\u2028", "\0", "\x7f")


def name_cases() -> list[Case]:
    """All cases of this kind."""
    return [*_artifact_names(), *_own_names(), *_paths(), *_catalog_names(), *_stated(), *_written()]


def _artifact_names() -> list[Case]:
    fault = "names of margins"
    allowed = ("--help", "-rf", "margin.parquet", "n" * 200, "CON", "hats.properties", "a..b", "..a")
    names = (
        *("", ".", "..", "...", "../margin", "../../outside/elsewhere", "a/../../x", "a/b", "/etc/x", "a\\b"),
        *("~", "$HOME", "`id`", "a;b", "*", "%s", "{x}", " ", " a", "a ", "n" * 300, "n" * 100_000),
        *("\u2025/x", "\uff0e\uff0e\uff0fx", "margin\u202egnp", "\u00e9", "\udc80", "file:///x", "C:x"),
        *(f"margin{odd}hats_nrows=1" for odd in _ODD),
    )

    def case(name: str) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            refused = name not in allowed
            margin = None if refused else sandbox.out / name
            words = ("--name", str(sandbox.out))
            return Asked(build(sandbox, name=name), words, margin, refused)

        return Case(fault, repr(name[:40]), arrange)

    return [case(name) for name in (*names, *allowed)]


def _own_names() -> list[Case]:
    """Names that the folders of a run have: the next run of the other margin would take them for its own."""

    def case(purpose: str) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            from skymargin.build.run_paths import RunPaths

            places = RunPaths(sandbox.out / "margin", sandbox.out, sandbox.out)
            name = f"margin.skymargin-{purpose}-{places.key}"
            return Asked(build(sandbox, name=name), ("intermediate",), refused=True)

        return Case("names of margins", f"that of {purpose}", arrange, always=True)

    return [case(purpose) for purpose in ("partial", "shards", "progress", "old", "lock", "removed-folder")]


def _paths() -> list[Case]:
    fault = "paths of outputs and catalogs"
    names = (
        *(
            "a b",
            "-x",
            "--help",
            "*?[]",
            "%s%n",
            "a'\"b",
            "a;b&c",
            "\u00e9\u4e2d",
            "#x",
            "a=b",
            "a\\b",
            "...",
        ),
        *(f"a{odd}hats_nrows=1" for odd in _ODD),
        *("\udcff", "n" * 300, "n/" * 3_000),
    )

    def output(name: str) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            inside = sandbox.out / name
            words = ("--output", name, repr(name)[1:-1], "name too long")
            return Asked(build(sandbox, f"--output={inside}"), words, inside / "margin")

        return Case(fault, f"output {name[:30]!r}", arrange)

    def catalog(name: str) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            moved = sandbox.catalog.parent / name
            asked = build(sandbox, catalog=str(moved))
            try:
                sandbox.catalog.rename(moved)
            except (OSError, ValueError):
                # No file system has such a name.
                return Asked(asked, ("CATALOG", "name too long"), refused=True)
            words = ("stars", "CATALOG", "hats_primary_table_url", repr(name)[1:-1])
            return Asked(asked, words, sandbox.out / "margin", check=_wrong_properties)

        return Case(fault, f"catalog {name[:30]!r}", arrange)

    def through(sandbox: Sandbox) -> Asked:
        asked = build(sandbox, f"--output={sandbox.out}/../out/./x/..")
        return Asked(asked, ("out",), sandbox.out / "margin")

    def onto(sandbox: Sandbox) -> Asked:
        (sandbox.out / "margin").symlink_to(sandbox.outside)
        return Asked(build(sandbox, "--overwrite"), ("margin",), sandbox.out / "margin")

    def unnamed(sandbox: Sandbox) -> Asked:
        moved = sandbox.catalog.parent / "stars\n[x]"
        sandbox.catalog.rename(moved)
        return Asked(build(sandbox, catalog=str(moved), name=None), ("--name",), refused=True)

    return [
        *(case(name) for name in names for case in (output, catalog) if case is output or "/" not in name),
        Case(fault, "output with ..", through),
        Case(fault, "a link to another catalog to be overwritten", onto),
        Case(fault, "a catalog whose name gives that of the margin", unnamed),
    ]


def _catalog_names() -> list[Case]:
    def stated(key: str, value: str, refused: bool = True, said: str = "") -> Case:
        def change(sandbox: Sandbox) -> None:
            for name in ("hats.properties", "properties"):
                file = sandbox.catalog / name
                lines = [line for line in file.read_text().splitlines() if not line.startswith(f"{key}=")]
                file.write_text("\n".join([*lines, f"{key}={value}"]) + "\n")

        return tampered(
            "properties of a catalog",
            f"{key}={value[:40]}",
            change,
            refused=refused,
            named=(said,) if said else (),
            check=_wrong_properties,
            always=bool(said),
        )

    collections = ("../../x", "a\\nhats_nrows=1", "\\u0000", "x" * 10**6)
    suffixes = ("/../../../outside", "../x", "\\u0000", "x" * 10**5)
    columns = ("../x", "\\u001b[2J", "ra\\ndec", "x" * 10**5)
    # Of other digits than ASCII has, too.
    orders = ("9" * 5_000, "-1", "\u0662", "1e9", "\u00b2")
    return [
        *(stated("obs_collection", value, refused=False) for value in collections),
        *(stated("hats_npix_suffix", value) for value in suffixes),
        *(stated("hats_col_ra", value) for value in columns),
        stated("dataproduct_type", "\\u001b]0;x\\u0007", said=r"dataproduct_type=\x1b]0;x\x07"),
        stated("dataproduct_type", "object\\n"),
        *(stated("hats_col_healpix_order", value, said="allowed are 0 to 29") for value in orders),
    ]


def _stated() -> list[Case]:
    fault = "values written into properties"

    def written(value: str) -> Case:
        def check(margin: Path) -> str:
            read = _read_as_hats(margin)
            return _wrong_properties(margin) if read.get("note") == value else f"note is {read.get('note')!r}"

        def arrange(sandbox: Sandbox) -> Asked:
            asked = build(sandbox, "--property", f"note={value}")
            return Asked(asked, ("property", "note"), sandbox.out / "margin", check=check)

        return Case(fault, f"note={value[:30]!r}", arrange)

    def key(text: str) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            asked = build(sandbox, "--property", f"{text}=x")
            return Asked(asked, ("--property",), refused=text != "a=b")

        return Case(fault, f"key {text!r}", arrange)

    values = (
        *(f"a{odd}hats_nrows=1" for odd in _ODD if odd != "\0"),
        *("=cmd|' /C calc'!A0", "+1", "@x", "<script>alert(1)</script>", "a\\", "\\u000ahats_nrows=1"),
        *("#x", "!x", ": x"),
    )
    keys = ("a b", "a=b", "a:b", "#a", "", "a\nb", "hats_nrows", "hats_primary_table_url")
    return [*map(written, values), *map(key, keys)]


def _written() -> list[Case]:
    """Column names in the page for people."""

    def check(margin: Path) -> str:
        text = (margin / "index.html").read_text()
        return "a script is in index.html" if "<script>alert" in text else ""

    change: Callable[[Sandbox], object] = partial(
        change_tables,
        change=lambda table: table.append_column("<script>alert(1)</script>", table.column("mag")),
    )
    name = "a column named as a script, in index.html"
    return [
        tampered("values written into properties", name, change, "--with", "html", check=check, slow=True)
    ]


def _read_as_hats(margin: Path) -> dict[str, str]:
    """Properties as the library of the format reads them."""
    from jproperties import Properties

    read = Properties()
    with (margin / "hats.properties").open("rb") as file:
        read.load(file, encoding="utf-8")
    return {key: value.data for key, value in read.items()}


def _wrong_properties(margin: Path) -> str:
    """What is wrong if something that was written made a property of its own."""
    read = _read_as_hats(margin)
    rows = sum(pq.read_metadata(file).num_rows for file in (margin / "dataset").rglob("*.parquet"))
    if read.get("hats_nrows") != str(rows):
        return f"hats_nrows is {read.get('hats_nrows')!r}, not {rows}"
    if not Path(read["hats_primary_table_url"]).is_dir():
        return f"hats_primary_table_url is {read['hats_primary_table_url']!r}, which is not the catalog"
    return ""
