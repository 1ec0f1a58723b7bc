"""What the tests of runs share: what a run reads and writes is noted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from skymargin.build.stages import map as map_stage
from skymargin.build.stages import reduce as reduce_stage
from tests.support.catalogs import PARTITION_PATH, Pixel


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch) -> list[Pixel]:
    """Note the partitions that the map stage of this process reads."""
    pixels: list[Pixel] = []
    scan = map_stage.PartitionScan

    def noted(scanner: object, files: list[Path]) -> object:
        match = re.search(PARTITION_PATH, files[0].as_posix())
        assert match
        pixels.append((int(match[1]), int(match[3])))
        return scan(scanner, files)  # type: ignore[arg-type]

    monkeypatch.setattr(map_stage, "PartitionScan", noted)
    return pixels


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Note the files of margins that the reduce stage of this process writes."""
    files: list[object] = []
    output_file: Callable[..., object] = reduce_stage.output_file

    def noted(file: object, *more: object) -> object:
        files.append(file)
        return output_file(file, *more)

    monkeypatch.setattr(reduce_stage, "output_file", noted)
    return files


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Any]:
    """Return the arguments that have no default."""
    (tmp_path / "catalog").mkdir()
    return {
        "input_catalog_path": tmp_path / "catalog",
        "output_path": tmp_path / "out",
        "output_artifact_name": "catalog_5arcs",
    }
