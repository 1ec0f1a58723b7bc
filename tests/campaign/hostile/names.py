"""Hostile names, paths and properties: in arguments, and in what a catalog says of itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.campaign.hostile.process import Asked, Case, Sandbox, build

# Ends of lines and of texts for one reader or another, and what a terminal acts upon.
_ODD = ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x1b[2J", "\x85", "\u2028", "\0", "\x7f")


def name_cases() -> list[Case]:
    """All cases of this kind."""
    return [*_artifact_names(), *_own_names(), *_paths(), *_catalog_names(), *_stated(), *_written()]


def _artifact_names() -> list[Case]:
    fault = "names of margins"
    allowed = ("--help", "-rf", "=", "margin.parquet", "n" * 200, "CON", "hats.properties", "a..b", "..a")
    names = (
        *("", ".", "..", "...", "../margin", "../../outside/elsewhere", "a/../../x", "a/b", "/etc/x", "a\\b"),
        *("~", "$HOME", "`id`", "a;b", "*", "%s", "{x}", " ", " a", "a ", "n" * 300, "n" * 100_000),
        *("\u2025/x", "\uff0e\uff0e\uff0fx", "margin\u202egnp", "\u00e9", "\udc80", "file:///x", "C:x"),
        *(f"margin{odd}hats_nrows=1" for odd in _ODD),
    )
    refused = [(name, True) for name in names]

    def case(name: str, is_refused: bool) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            margin = None if is_refused else sandbox.out / name
            return Asked(
                build(sandbox, name=name), ("output_artifact_name", str(sandbox.out)), margin, is_refused
            )

        return Case(fault, repr(name[:40]), arrange)

    return [case(*one) for one in [*refused, *((name, False) for name in allowed if name != "=")]]


def _own_names() -> list[Case]:
    """Names that the folders of a run have: the next run of the other margin would take them for its own."""
    fault = "names of margins"

    def case(purpose: str) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            from skymargin.build.run_paths import RunPaths

            places = RunPaths(sandbox.out / "margin", sandbox.out, sandbox.out)
            name = f"margin.skymargin-{purpose}-{places.key}"
            return Asked(build(sandbox, name=name), ("output_artifact_name",), refused=True)

        return Case(fault, f"that of {purpose}", arrange)

    return [case(purpose) for purpose in ("partial", "shards", "progress", "old", "lock", "removed-folder")]


def _paths() -> list[Case]:
    fault = "paths of outputs and catalogs"
    odd_names = (
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
    )
    found = []

    def output(name: str) -> Callable[[Sandbox], Asked]:
        def arrange(sandbox: Sandbox) -> Asked:
            inside = sandbox.out / name
            return Asked(
                build(sandbox, f"--output={inside}"),
                ("output_path", name, repr(name)[1:-1], "name too long"),
                inside / "margin",
            )

        return arrange

    def catalog(name: str) -> Callable[[Sandbox], Asked]:
        def arrange(sandbox: Sandbox) -> Asked:
            moved = sandbox.catalog.parent / name
            try:
                sandbox.catalog.rename(moved)
            except (OSError, ValueError):
                # No file system has such a name.
                return Asked(
                    build(sandbox, catalog=str(moved)), ("input_catalog_path", "name too long"), refused=True
                )
            words = ("stars", "input_catalog_path", "hats_primary_table_url", repr(name)[1:-1])
            return Asked(
                build(sandbox, catalog=str(moved)), words, sandbox.out / "margin", check=_one_line_each
            )

        return arrange

    for name in (*odd_names, *(f"a{odd}hats_nrows=1" for odd in _ODD), "\udcff", "n" * 300, "n/" * 3_000):
        found.append(Case(fault, f"output {name[:30]!r}", output(name)))
        if "/" not in name:
            found.append(Case(fault, f"catalog {name[:30]!r}", catalog(name)))

    def through(sandbox: Sandbox) -> Asked:
        return Asked(
            build(sandbox, f"--output={sandbox.out}/../out/./x/.."), ("out",), sandbox.out / "margin"
        )

    def onto(sandbox: Sandbox) -> Asked:
        (sandbox.out / "margin").symlink_to(sandbox.outside)
        return Asked(build(sandbox, "--overwrite"), ("margin",), sandbox.out / "margin")

    def unnamed(sandbox: Sandbox) -> Asked:
        moved = sandbox.catalog.parent / "stars\n[x]"
        sandbox.catalog.rename(moved)
        return Asked(build(sandbox, catalog=str(moved), name=None), ("output_artifact_name",), refused=True)

    return [
        *found,
        Case(fault, "output with ..", through),
        Case(fault, "a link to another catalog to be overwritten", onto),
        Case(fault, "a catalog whose name gives that of the margin", unnamed),
    ]


def _catalog_names() -> list[Case]:
    fault = "properties of a catalog"

    def stated(key: str, value: str, *, refused: bool) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            for name in ("hats.properties", "properties"):
                file = sandbox.catalog / name
                lines = [line for line in file.read_text().splitlines() if not line.startswith(f"{key}=")]
                file.write_text("\n".join([*lines, f"{key}={value}"]) + "\n")
            margin = None if refused else sandbox.out / "margin"
            return Asked(build(sandbox), (str(sandbox.catalog),), margin, refused, check=_one_line_each)

        return Case(fault, f"{key}={value[:40]}", arrange)

    return [
        *(
            stated("obs_collection", value, refused=False)
            for value in ("../../x", "a\\nhats_nrows=1", "\\u0000", "x" * 10**6)
        ),
        *(
            stated("hats_npix_suffix", value, refused=True)
            for value in ("/../../../outside", "../x", "\\u0000", "x" * 10**5)
        ),
        *(
            stated("hats_col_ra", value, refused=True)
            for value in ("../x", "\\u001b[2J", "ra\\ndec", "x" * 10**5)
        ),
        *(stated("dataproduct_type", value, refused=True) for value in ("\\u001b]0;x\\u0007", "object\\n")),
        *(
            stated("hats_col_healpix_order", value, refused=True)
            for value in ("9" * 5_000, "-1", "\u0662", "1e9", "\u00b2")
        ),
    ]


def _stated() -> list[Case]:
    fault = "values written into properties"

    def written(key: str, value: str) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            def check(margin: Path) -> str:
                found = _read_as_hats(margin)
                if found.get(key) != value:
                    return f"{key} is {found.get(key)!r}"
                return _one_line_each(margin)

            return Asked(
                build(sandbox, "--property", f"{key}={value}"),
                ("property", key),
                sandbox.out / "margin",
                check=check,
            )

        return Case(fault, f"{key}={value[:30]!r}", arrange)

    values = [f"a{odd}hats_nrows=1" for odd in _ODD if odd != "\0"]
    values += [
        "=cmd|' /C calc'!A0",
        "+1",
        "@x",
        "<script>alert(1)</script>",
        "a\\",
        "\\u000ahats_nrows=1",
        "#x",
        "!x",
        ": x",
    ]
    keys = ["a b", "a=b", "a:b", "#a", "", "a\nb", "hats_nrows", "hats_primary_table_url"]

    def refused(key: str) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            return Asked(
                build(sandbox, "--property", f"{key}=x"),
                ("addl_hats_properties", "--property"),
                refused=key != "a=b",
            )

        return Case(fault, f"key {key!r}", arrange)

    return [*(written("note", value) for value in values), *map(refused, keys)]


def _written() -> list[Case]:
    """Column names in the page for people."""

    def arrange(sandbox: Sandbox) -> Asked:
        import pyarrow.parquet as pq

        for number in range(3):
            file = sandbox.partition(number)
            table = pq.ParquetFile(file).read()
            table = table.append_column("<script>alert(1)</script>", table.column("mag"))
            pq.write_table(table, file)
        dataset = sandbox.catalog / "dataset"
        (dataset / "_metadata").unlink()
        pq.write_metadata(table.schema, dataset / "_common_metadata")

        def check(margin: Path) -> str:
            return (
                "a script is in index.html" if "<script>alert" in (margin / "index.html").read_text() else ""
            )

        return Asked(
            build(sandbox, "--with", "html"), (str(sandbox.out),), sandbox.out / "margin", check=check
        )

    return [
        Case(
            "values written into properties", "a column named as a script, in index.html", arrange, slow=True
        )
    ]


def _read_as_hats(margin: Path) -> dict[str, str]:
    """Properties as the library of the format reads them."""
    from jproperties import Properties

    read = Properties()
    with (margin / "hats.properties").open("rb") as file:
        read.load(file, encoding="utf-8")
    return {key: value.data for key, value in read.items()}


def _one_line_each(margin: Path) -> str:
    """Whether nothing that was written made a property of its own."""
    found = _read_as_hats(margin)
    import pyarrow.parquet as pq

    rows = sum(pq.read_metadata(file).num_rows for file in (margin / "dataset").rglob("*.parquet"))
    if found.get("hats_nrows") != str(rows):
        return f"hats_nrows is {found.get('hats_nrows')!r}, not {rows}"
    place = os.fsencode(found["hats_primary_table_url"])
    if not Path(os.fsdecode(place)).is_dir():
        return f"hats_primary_table_url is {found['hats_primary_table_url']!r}, which is not the catalog"
    return ""
