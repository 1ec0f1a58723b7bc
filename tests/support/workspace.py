"""A catalog, and a folder in which its margins are made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from skymargin import MarginCacheArguments, MarginReport, SkymarginError, pipeline
from tests.support.catalogs import (
    Layout,
    Pixel,
    Sky,
    arguments_of,
    contents,
    files_of,
    ids_of,
    make_margins,
    nothing_left,
    write_catalog,
)


@dataclass(frozen=True)
class Workspace:
    """A catalog, the folder of its margins, and the threshold that they have if none is given."""

    # Paths of either kind, or URLs.
    catalog: Any
    output: Any
    threshold_arcsec: float
    report: MarginReport | None = None

    @property
    def margin(self) -> Path:
        margin: Path = self.output / "margin"
        return margin

    @property
    def file_of(self) -> dict[Pixel, Path]:
        """The file of each partition of the catalog."""
        return files_of(self.catalog)

    @property
    def files(self) -> dict[Pixel, Path]:
        """The file of each partition of the margin."""
        return files_of(self.margin)

    @property
    def ids(self) -> dict[Pixel, list[int]]:
        """The ids in each partition of the margin."""
        return ids_of(self.margin)

    @property
    def names(self) -> list[str]:
        """What is in the folder of the margins."""
        return sorted(entry.name for entry in self.output.iterdir()) if self.output.exists() else []

    def make(self, name: str = "margin", **arguments: Any) -> MarginReport:
        return pipeline(self.arguments(name, **arguments))

    def make_several(self, thresholds_arcsec: tuple[float, ...], **arguments: Any) -> list[MarginReport]:
        return make_margins(self.catalog, self.output, thresholds_arcsec, **arguments)

    def contents(self, name: str = "margin", least: int = 20) -> dict[str, bytes]:
        return contents(self.output / name, least)

    def anew(self, folder: Path, **arguments: Any) -> dict[str, bytes]:
        """The contents of a margin that is made in another folder, which nothing disturbed."""
        undisturbed = replace(self, output=folder / "anew")
        undisturbed.make(**arguments)
        return undisturbed.contents(least=5)

    def arguments(self, name: str = "margin", **others: Any) -> MarginCacheArguments:
        return arguments_of(self.catalog, self.output, self.threshold_arcsec, name, **others)

    def fails(self, error: type[SkymarginError], *words: str, **arguments: Any) -> str:
        """Make the margin, which must fail with these words in one line and leave nothing behind."""
        with pytest.raises(error) as caught:
            self.make(**arguments)
        message = str(caught.value)
        assert not [word for word in words if word not in message], message
        assert "\n" not in message
        assert nothing_left(self.output)
        return message


def made_in(
    folder: Path, sky: Sky, threshold_arcsec: float, layout: Layout | None = None, **others: Any
) -> Workspace:
    """Write rows as a HATS catalog in a folder, and make its margin beside it; `table` as for `write_catalog`."""
    write_catalog(folder / "stars", sky, layout, others.pop("table", None))
    work = Workspace(folder / "stars", folder / "out", threshold_arcsec)
    return replace(work, report=work.make(**others))
