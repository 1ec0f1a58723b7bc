"""Hostile catalogs: lists, links and collections that point elsewhere, and texts that are to keep a reader busy."""

from __future__ import annotations

import os
from collections.abc import Callable

from tests.campaign.hostile.process import Asked, Case, Sandbox, build
from tests.campaign.hostile.thrift_edit import BINARY, Value, edit_footer, row_groups


def place_cases() -> list[Case]:
    """All cases of this kind."""
    return [*_lists(), *_links(), *_collections(), *_texts()]


def _lists() -> list[Case]:
    fault = "lists of partitions that point elsewhere"

    def listed(line: str) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            with (sandbox.catalog / "partition_info.csv").open("a", encoding="utf-8") as lines:
                lines.write(f"{line}\n")
            return Asked(build(sandbox), (str(sandbox.catalog),), sandbox.out / "margin", refused=True)

        return Case(fault, f"partition_info.csv with {line[:40]!r}", arrange)

    def metadata(path: bytes) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            (sandbox.catalog / "partition_info.csv").unlink()

            def change(footer: dict[int, Value]) -> None:
                for group in row_groups(footer)[:1]:
                    for one in group[1].content:
                        one.content[1] = Value(BINARY, path)

            edit_footer(sandbox.catalog / "dataset" / "_metadata", change)
            # What else the name says is not followed: the partition is that of the catalog.
            return Asked(build(sandbox), (str(sandbox.catalog),), sandbox.out / "margin")

        return Case(fault, f"_metadata with {path[:60]!r}", arrange)

    lines = [
        "1,../../x",
        "1,/etc/passwd",
        "1,-7",
        "-1,7",
        "1,1e3",
        "1,7,../../x\n2,../x",
        "29,9223372036854775807",
        "1," + "7" * 6_000,
    ]
    lines += ["1,\0", '"1,7', "1,0x7", "99999999999999999999,7", "1,inf"]
    stem = b"Norder=1/Dir=0/Npix=4.parquet"
    paths = [
        *(
            b"../../../outside/elsewhere/dataset/" + stem,
            b"/etc/" + stem,
            b"../../x/" + stem,
            b"file:///etc/" + stem,
        ),
        *(b"http://127.0.0.1:1/" + stem, stem + b"/../../../../../../outside/precious", stem + b"\n../x"),
    ]
    return [*map(listed, lines), *map(metadata, paths)]


def _links() -> list[Case]:
    fault = "links, and things that are no files"

    def case(name: str, change: Callable[[Sandbox], object], *, refused: bool | None = None) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            change(sandbox)
            return Asked(build(sandbox), (str(sandbox.catalog),), sandbox.out / "margin", bool(refused))

        return Case(fault, name, arrange)

    def loop(sandbox: Sandbox) -> None:
        (sandbox.catalog / "dataset" / "again").symlink_to(".")

    def loops(sandbox: Sandbox) -> None:
        for name in ("a", "b", "c"):
            (sandbox.catalog / "dataset" / name).symlink_to(sandbox.catalog / "dataset")

    def pipe(name: str) -> Callable[[Sandbox], object]:
        def change(sandbox: Sandbox) -> None:
            file = sandbox.catalog / name
            file.unlink()
            os.mkfifo(file)

        return change

    def device(sandbox: Sandbox) -> None:
        sandbox.partition().unlink()
        sandbox.partition().symlink_to("/dev/zero")

    def folder(sandbox: Sandbox) -> None:
        sandbox.partition().unlink()
        sandbox.partition().mkdir()

    def to_itself(sandbox: Sandbox) -> None:
        sandbox.partition().unlink()
        sandbox.partition().symlink_to(sandbox.partition().name)

    partition = "dataset/Norder=1/Dir=0/Npix=4.parquet"
    return [
        case("a link to the folder it is in", loop),
        case("three links that lead into each other", loops),
        case("a partition that is a pipe", pipe(partition), refused=True),
        case("a list that is a pipe", pipe("partition_info.csv"), refused=True),
        case("properties that are a pipe", pipe("hats.properties"), refused=True),
        case("a partition that is /dev/zero", device, refused=True),
        case("a partition that is a folder", folder, refused=True),
        case("a partition that is a link to itself", to_itself, refused=True),
    ]


def _collections() -> list[Case]:
    fault = "collections that point elsewhere"

    def collection(name: str, lines: str, *more: str, refused: bool = False) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            file = sandbox.catalog.parent / "collection.properties"
            file.write_text(f"obs_collection=sky\n{lines}".replace("OUTSIDE", str(sandbox.outside)))
            asked = build(sandbox, *more, catalog=str(file.parent))
            return Asked(
                asked, (str(file), "collection"), None if refused else sandbox.out / "margin", refused
            )

        return Case(fault, name, arrange)

    own = "hats_primary_table_url=stars\n"
    found = [
        collection("a primary of ../..", "hats_primary_table_url=../..\n", refused=True),
        collection("a primary with a null", "hats_primary_table_url=sta\\u0000rs\n", refused=True),
        collection("a primary that is the collection", "hats_primary_table_url=.\n", refused=True),
        collection("a primary of 10^5 letters", f"hats_primary_table_url={'x' * 10**5}\n", refused=True),
        collection("a primary over a protocol that is none", "hats_primary_table_url=x://y\n", refused=True),
        collection(
            "a primary that is a command", "hats_primary_table_url=simplecache::ssh://x/y\n", refused=True
        ),
        *(
            collection(f"all_margins={margin}", f"{own}all_margins={margin}\n")
            for margin in ("../../elsewhere", "OUTSIDE", "/etc", "stars", "margin\\n../x")
        ),
    ]

    def added(name: str, lines: str) -> Case:
        """A margin is added; the collection is in the output folder, which may be written to."""

        def arrange(sandbox: Sandbox) -> Asked:
            inside = sandbox.out / "sky"
            inside.mkdir()
            sandbox.catalog.rename(inside / "stars")
            (inside / "collection.properties").write_text(
                f"obs_collection=sky\n{own}{lines}".replace("OUTSIDE", str(sandbox.outside))
            )
            asked = [
                "build",
                str(inside),
                "-t60",
                "--no-progress",
                "--name=margin",
                "--add-to-collection",
                "--default-margin",
            ]
            return Asked(asked, ("collection.properties",), inside / "margin")

        return Case(fault, name, arrange)

    found += [
        added(f"added, {lines[:40].strip()!r}", lines)
        for lines in (
            "all_margins=../../outside/elsewhere\n",
            "default_margin=OUTSIDE\n",
            "all_margins=a\\\n",
            "\\u0061ll_margins=x\n",
        )
    ]

    def elsewhere(place: str) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            file = sandbox.catalog.parent / "collection.properties"
            text = place.replace("OUTSIDE", str(sandbox.outside))
            file.write_text(f"obs_collection=sky\nhats_primary_table_url={text}\n")
            asked = build(sandbox, catalog=str(file.parent))
            return Asked(asked, (str(file),), warned="outside/elsewhere")

        return Case(fault, f"a primary at {place}", arrange)

    return [*found, *map(elsewhere, ("../outside/elsewhere", "OUTSIDE", "stars/../../outside/elsewhere"))]


def _texts() -> list[Case]:
    fault = "texts that keep a reader busy"

    def text(
        name: str,
        file: str,
        content: Callable[[str], str],
        *,
        refused: bool = False,
        more: tuple[str, ...] = (),
    ) -> Case:
        def arrange(sandbox: Sandbox) -> Asked:
            path = sandbox.catalog / file
            path.write_text(content(path.read_text() if path.exists() else ""))
            margin = None if refused else sandbox.out / "margin"
            return Asked(build(sandbox, *more), (str(sandbox.catalog),), margin, refused)

        return Case(fault, name, arrange)

    def deep_record(sandbox: Sandbox) -> Asked:
        from tests.support.catalogs import make_margin

        make_margin(sandbox.catalog, sandbox.out, 60.0)
        record = sandbox.out / "margin" / "_metadata.skymargin.json"
        record.write_text("[" * 200_000)
        asked = build(sandbox, "--only-changed")
        return Asked(asked, (str(record), "only_changed"), refused=True, replaces=True)

    return [
        text(
            "300,000 lines, each continued", "hats.properties", lambda old: old + "note=" + "x\\\n" * 300_000
        ),
        text("10^6 comments", "hats.properties", lambda old: "# x\n" * 10**6 + old),
        text("a key of 10^6 backslashes", "hats.properties", lambda old: old + "\\" * 10**6 + "\n"),
        text("a line of 10^7 blanks", "hats.properties", lambda old: old + " " * 10**7 + "\n"),
        text(
            "a list of 10^6 partitions", "partition_info.csv", lambda old: old + "1,7\n" * 10**6, refused=True
        ),
        text(
            "a list with a field of 10^6",
            "partition_info.csv",
            lambda old: f'{old}1,"{"x" * 10**6}"\n',
            refused=True,
        ),
        text("JSON of 200,000 levels", "catalog_info.json", lambda _: "[" * 200_000),
        text(
            "JSON with 10^5 digits",
            "catalog_info.json",
            lambda _: '{"total_rows": ' + "9" * 10**5 + "}",
        ),
        Case(fault, "a record of 200,000 levels", deep_record),
    ]
