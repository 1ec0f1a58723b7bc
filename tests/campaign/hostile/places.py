"""Hostile catalogs: lists, links and collections that point elsewhere, and texts that are to keep a reader busy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from benchmarks.thrift import BINARY, Value
from tests.campaign.hostile.parquet_edit import Fields, row_groups
from tests.campaign.hostile.process import Asked, Case, Sandbox, build, tampered
from tests.support.handmade_parquet import edit_footer

PARTITION = "dataset/Norder=1/Dir=0/Npix=4.parquet"


def place_cases() -> list[Case]:
    """All cases of this kind."""
    return [*_lists(), *_links(), *_collections(), *_texts()]


def _lists() -> list[Case]:
    fault = "lists of partitions that point elsewhere"

    def listed(line: str) -> Case:
        def change(sandbox: Sandbox) -> None:
            with (sandbox.catalog / "partition_info.csv").open("a", encoding="utf-8") as lines:
                lines.write(f"{line}\n")

        return tampered(fault, f"partition_info.csv with {line[:40]!r}", change, refused=True)

    def metadata(path: bytes) -> Case:
        def rename(footer: Fields) -> None:
            for column in row_groups(footer)[0][1].content:
                column.content[1] = Value(BINARY, path)

        def change(sandbox: Sandbox) -> None:
            (sandbox.catalog / "partition_info.csv").unlink()
            edit_footer(sandbox.catalog / "dataset" / "_metadata", rename)

        # What else the name says is not followed: the partition is that of the catalog.
        return tampered(fault, f"_metadata with {path[:60]!r}", change)

    lines = (
        *(
            "1,../../x",
            "1,/etc/passwd",
            "1,-7",
            "-1,7",
            "1,1e3",
            "1,7,../../x\n2,../x",
            "29,9223372036854775807",
        ),
        *("1," + "7" * 6_000, "1,\0", '"1,7', "1,0x7", "99999999999999999999,7", "1,inf"),
    )
    stem = b"Norder=1/Dir=0/Npix=4.parquet"
    paths = (
        b"../../../outside/elsewhere/dataset/" + stem,
        *(start + stem for start in (b"/etc/", b"../../x/", b"file:///etc/", b"http://127.0.0.1:1/")),
        stem + b"/../../../../../../outside/precious",
        stem + b"\n../x",
    )
    return [*map(listed, lines), *map(metadata, paths)]


def _links() -> list[Case]:
    fault = "links, and things that are no files"

    def loop(sandbox: Sandbox) -> None:
        (sandbox.catalog / "dataset" / "again").symlink_to(".")

    def loops(sandbox: Sandbox) -> None:
        for name in ("a", "b", "c"):
            (sandbox.catalog / "dataset" / name).symlink_to(sandbox.catalog / "dataset")

    def instead(name: str, make: Callable[[Path], object]) -> Callable[[Sandbox], object]:
        """Make something else in the place of a file."""

        def change(sandbox: Sandbox) -> None:
            (sandbox.catalog / name).unlink()
            make(sandbox.catalog / name)

        return change

    def pipe(what: str, name: str, *said: str) -> Case:
        return tampered(
            fault, f"{what} a pipe", instead(name, os.mkfifo), refused=True, named=said, always=bool(said)
        )

    made: dict[str, Callable[[Path], object]] = {
        "a partition that is /dev/zero": lambda path: path.symlink_to("/dev/zero"),
        "a partition that is a folder": Path.mkdir,
        "a partition that is a link to itself": lambda path: path.symlink_to(path),
    }
    return [
        tampered(fault, "a link to the folder it is in", loop),
        tampered(fault, "three links that lead into each other", loops),
        pipe("a partition that is", PARTITION),
        pipe("a list that is", "partition_info.csv", "partition_info.csv is not a file"),
        pipe("properties that are", "hats.properties", "hats.properties is not a file"),
        *(tampered(fault, name, instead(PARTITION, make), refused=True) for name, make in made.items()),
    ]


def _collections() -> list[Case]:
    fault = "collections that point elsewhere"
    own = "hats_primary_table_url=stars\n"

    def collection(
        name: str,
        lines: str,
        *,
        refused: bool = False,
        named: str = "",
        warned: str = "",
        always: bool = False,
    ) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            file = sandbox.catalog.parent / "collection.properties"
            file.write_text(f"obs_collection=sky\n{lines}".replace("OUTSIDE", str(sandbox.outside)))
            words = (named,) if named else (str(file), "collection")
            margin = None if refused or warned else sandbox.out / "margin"
            asked = build(sandbox, catalog=str(file.parent))
            return Asked(asked, words, margin, refused, warned=warned)

        return Case(fault, name, arrange, always=always)

    def refused(name: str, url: str, *, always: bool = False) -> Case:
        named = "primary catalog" if always else ""
        return collection(
            f"a primary {name}", f"hats_primary_table_url={url}\n", refused=True, named=named, always=always
        )

    def elsewhere(url: str) -> Case:
        warned = "names a primary catalog outside"
        return collection(
            f"a primary at {url}", f"hats_primary_table_url={url}\n", warned=warned, always=True
        )

    def added(lines: str) -> Case:
        """A margin is added; the collection is in the output folder, which may be written to."""

        def arrange(sandbox: Sandbox) -> Asked:
            inside = sandbox.out / "sky"
            inside.mkdir()
            sandbox.catalog.rename(inside / "stars")
            text = f"obs_collection=sky\n{own}{lines}".replace("OUTSIDE", str(sandbox.outside))
            (inside / "collection.properties").write_text(text)
            asked = ["build", str(inside), "-t60", "--no-progress", "--name=margin"]
            asked += ["--add-to-collection", "--default-margin"]
            return Asked(asked, ("collection.properties",), inside / "margin")

        return Case(fault, f"added, {lines[:40].strip()!r}", arrange)

    margins = ("../../elsewhere", "OUTSIDE", "/etc", "stars", "margin\\n../x")
    further = ("all_margins=../../outside/elsewhere\n", "default_margin=OUTSIDE\n", "all_margins=a\\\n")
    return [
        refused("of ../..", "../.."),
        refused("with a null", "sta\\u0000rs", always=True),
        refused("that is the collection", "."),
        refused("of 10^5 letters", "x" * 10**5, always=True),
        refused("over a protocol that is none", "x://y"),
        refused("that is a command", "simplecache::ssh://x/y", always=True),
        *(collection(f"all_margins={margin}", f"{own}all_margins={margin}\n") for margin in margins),
        *map(added, (*further, "\\u0061ll_margins=x\n")),
        *map(elsewhere, ("../outside/elsewhere", "OUTSIDE", "stars/../../outside/elsewhere")),
    ]


def _texts() -> list[Case]:
    fault = "texts that keep a reader busy"

    def text(name: str, file: str, content: Callable[[str], str], *, refused: bool = False) -> Case:
        def change(sandbox: Sandbox) -> None:
            path = sandbox.catalog / file
            path.write_text(content(path.read_text() if path.exists() else ""))

        return tampered(fault, name, change, refused=refused)

    def properties(name: str, content: Callable[[str], str]) -> Case:
        return text(name, "hats.properties", content)

    def partitions(name: str, lines: str) -> Case:
        return text(name, "partition_info.csv", lambda old: old + lines, refused=True)

    def deep_record(sandbox: Sandbox) -> Asked:
        from tests.support.catalogs import make_margin

        make_margin(sandbox.catalog, sandbox.out, 60.0)
        record = sandbox.out / "margin" / "_metadata.skymargin.json"
        record.write_text("[" * 200_000)
        return Asked(build(sandbox, "--only-changed"), (str(record),), refused=True, replaces=True)

    return [
        properties("300,000 lines, each continued", lambda old: old + "note=" + "x\\\n" * 300_000),
        properties("10^6 comments", lambda old: "# x\n" * 10**6 + old),
        properties("a key of 10^6 backslashes", lambda old: old + "\\" * 10**6 + "\n"),
        properties("a line of 10^7 blanks", lambda old: old + " " * 10**7 + "\n"),
        partitions("a list of 10^6 partitions", "1,7\n" * 10**6),
        partitions("a list with a field of 10^6", f'1,"{"x" * 10**6}"\n'),
        text("JSON of 200,000 levels", "catalog_info.json", lambda _: "[" * 200_000),
        text("JSON with 10^5 digits", "catalog_info.json", lambda _: '{"total_rows": ' + "9" * 10**5 + "}"),
        Case(fault, "a record of 200,000 levels", deep_record, always=True),
    ]
