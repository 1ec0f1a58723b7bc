"""Damage to the bytes of one file of a catalog: flipped bits, lost and foreign bytes."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.parquet_file import ParquetFile
from tests.campaign.damage.catalogs import Base, Case
from tests.support.catalogs import Pixel

_T = TypeVar("_T")
# A page of fewer bytes has little to flip.
_LEAST_ROWS = 20


class Copy:
    """A copy of a whole catalog, to be damaged at random.

    Parameters
    ----------
    base
        The catalog.
    folder
        Where the copy is to be. Its files are links: they are replaced, never written into.
    random
        What decides.
    """

    def __init__(self, base: Base, folder: Path, random: np.random.Generator) -> None:
        self.base, self.catalog, self.random = base, folder / "catalog", random
        for file in base.path.rglob("*"):
            if file.is_file():
                link = self.catalog / file.relative_to(base.path)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.hardlink_to(file)
        self.files = base.files(self.catalog)

    def case(self, what: str, *names: Path | str, **allowed: object) -> Case:
        """The copy with some damage done; an error may name any of the files."""
        return Case(what, self.catalog, [str(name) for name in names], **allowed)  # type: ignore[arg-type]

    def pixel(self) -> Pixel:
        """A partition that is not almost empty."""
        sky = self.base.sky
        counts = {
            pixel: int(np.sum((sky.own_order == pixel[0]) & (sky.own_pixel == pixel[1])))
            for pixel in self.files
        }
        return self.one_of([pixel for pixel, count in sorted(counts.items()) if count >= _LEAST_ROWS])

    def one_of(self, choices: list[_T]) -> _T:
        """One of several things."""
        return choices[int(self.random.integers(len(choices)))]

    def flip(self, file: Path, places: range) -> str:
        """Flip one bit, or some of one byte or of up to three, among the places."""
        encoded = bytearray(file.read_bytes())
        done = []
        for _ in range(self.one_of([1, 1, 1, 3])):
            at = int(places[int(self.random.integers(len(places)))])
            mask = (
                1 << int(self.random.integers(8))
                if self.random.random() < 0.6
                else int(self.random.integers(1, 256))
            )
            encoded[at] ^= mask
            done.append(f"{at}^{mask:#04x}")
        replace(file, bytes(encoded))
        return f"{file.name} {' '.join(done)}"


def replace(file: Path, content: bytes) -> None:
    """Put other content in the place of a link."""
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def footer(copy: Copy, _: int) -> Case:
    """A flip anywhere in a footer."""
    pixel = copy.pixel()
    file = copy.files[pixel]
    before = ParquetFile(file)
    bounds = _bounds(before, copy.base.index)
    what = copy.flip(file, before.footer)
    touched = {at for at in before.footer if before.data[at] != file.read_bytes()[at]}
    believed = pixel if touched & bounds else None
    return copy.case(f"footer of {what}", file, believed=believed)


def page_header(copy: Copy, number: int) -> Case:
    """A flip in the header of a page of any column."""
    return _page(copy, number, in_body=False)


def page_body(copy: Copy, number: int) -> Case:
    """A flip in the data of a page of any column."""
    return _page(copy, number, in_body=True)


def page_index(copy: Copy, number: int) -> Case:
    """A flip in the column index or the offset index of a column."""
    pixel = copy.pixel()
    file = copy.files[pixel]
    before = ParquetFile(file)
    chunks = before.chunks
    if number % 2:
        # Of the others it is never read, or for the rows that are selected alone.
        chunks = [chunk for chunk in chunks if chunk.column in copy.base.positions]
    chunk = copy.one_of(chunks)
    part = copy.one_of([part for part in (chunk.column_index, chunk.offset_index) if len(part)])
    what = copy.flip(file, part)
    bounds = part == chunk.column_index and chunk.column == copy.base.index
    kind = "column index" if part == chunk.column_index else "offset index"
    return copy.case(f"{kind} of {chunk.column} in {what}", file, believed=pixel if bounds else None)


def length(copy: Copy, number: int) -> Case:
    """A file that was cut off, emptied or got garbage."""
    pixel = copy.pixel()
    file = copy.files[pixel]
    content = file.read_bytes()
    footer_bytes = len(ParquetFile(file).footer)
    kept = int(copy.random.integers(1, len(content) - footer_bytes))
    garbage = copy.random.bytes(int(copy.random.integers(1, 5_000)))
    name, damaged = [
        ("cut off in the footer", content[: -int(copy.random.integers(1, footer_bytes))]),
        ("cut off in the middle", content[:kept]),
        ("emptied", b""),
        ("garbage after its end", content + garbage),
        ("zeros from somewhere on", content[:kept] + bytes(len(content) - kept)),
        ("garbage of its length", copy.random.bytes(len(content))),
        ("a hole", content[:kept] + content[kept + int(copy.random.integers(1, 64)) :]),
    ][number % 7]
    replace(file, damaged)
    # A hole of a few bytes is as many flipped bytes when checksums are not there and nothing moves.
    return copy.case(f"{file.name} {name}, {len(damaged)} of {len(content)} bytes", file)


def _page(copy: Copy, number: int, *, in_body: bool) -> Case:
    pixel = copy.pixel()
    file = copy.files[pixel]
    parts = ParquetFile(file)
    pages = [page for chunk in parts.chunks for page in parts.pages(chunk)]
    if number % 2:
        # Of the other columns most pages are never read.
        pages = [page for page in pages if page.column in copy.base.positions]
    page = copy.one_of([page for page in pages if len(page.body)])
    what = copy.flip(file, page.body if in_body else page.header)
    allowed: dict[str, object] = {}
    if in_body and not page.has_checksum:
        is_index = page.column == copy.base.index
        allowed = {
            "flipped": {page.column} - {"ra", "dec"},
            "as_read": page.column in copy.base.positions,
            "believed": pixel if is_index else None,
        }
    part = "body" if in_body else "header"
    return copy.case(f"{part} of a {page.kind} of {page.column} in {what}", file, **allowed)


def _bounds(parts: ParquetFile, index: str | None) -> set[int]:
    """The bytes of a footer that hold the bounds of the index."""
    return {at for chunk in parts.chunks if chunk.column == index for at in chunk.statistics}
