"""What decides the result of a run: when any of it changes, the work of an earlier run cannot be used."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skymargin._core as _core
from skymargin.build.run_paths import real_path

if TYPE_CHECKING:
    from skymargin.build.planning import RunPlan
    from skymargin.storage.paths import AnyPath

# Raise it with every change of the content of shards and records, or of how they are used.
FORMAT_VERSION = 5
# Longer values are compared by a digest, and not shown.
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class Fingerprint:
    """What decides the result of a run.

    Attributes
    ----------
    parts : dict of str to str
        Each value, or a digest of it, by its name.
    files : dict of str to str
        What identifies the version of each file of the partitions, by its path relative to the catalog.
    """

    parts: dict[str, str]
    files: dict[str, str]

    def change_from(self, old: Fingerprint) -> str | None:
        """The first difference from an earlier one, in words; None when there is none."""
        for name in dict.fromkeys([*old.parts, *self.parts]):
            before, now = old.parts.get(name), self.parts.get(name)
            if before == now:
                continue
            shown = all(text is not None and not text.startswith("sha256:") for text in (before, now))
            return f"{name} changed" + (f" from {before} to {now}" if shown else "")
        changed = [
            name for name in dict.fromkeys([*old.files, *self.files])
            if old.files.get(name) != self.files.get(name)
        ]  # fmt: skip
        if not changed:
            return None
        others = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        return f"the file {changed[0]}{others} of the catalog changed"


def fingerprint_of(plan: RunPlan) -> Fingerprint:
    """The fingerprint of a run."""
    import pyarrow as pa

    catalog, spec = plan.catalog, plan.spec
    first, *others = plan.margins
    parts: dict[str, Any] = {
        "the version of skymargin": _core.VERSION,
        "the version of pyarrow": pa.__version__,
        "the format of intermediate files": FORMAT_VERSION,
        "input_catalog_path": str(spec.catalog_path),
        "margin_threshold": first.threshold_arcsec,
        # As the argument has it.
        "margin_order": -1 if spec.rule.margin_order is None else spec.rule.margin_order,
        "fine_filtering": spec.rule.fine_filtering,
        "check_index": spec.check_index,
        "the choice of margins to be made": None if spec.margins is None else sorted(spec.margins),
        **asdict(first.output),
        "tmp_dir": _place(first.target.paths.intermediate),
        "the format of the catalog": catalog.format,
        "what the catalog says of its columns": catalog.columns,
        "the schema of the catalog": catalog.schema.serialize().to_pybytes(),
        "the list of partitions of the catalog": b"".join(
            [catalog.orders.tobytes(), catalog.pixels.tobytes(), repr(catalog.files).encode()]
        ),
        "the sizes of the partitions of the catalog": catalog.size_bytes.tobytes(),
    }
    if catalog.elsewhere is not None:
        # With the list of files it says what the template or the function gave.
        parts["the folder of the partitions' files"] = str(spec.files_root)
    if others:
        parts["the margins that are made together"] = [margin.target.paths.place for margin in plan.margins]
    for margin in others:
        own = {"margin_threshold": margin.threshold_arcsec, **asdict(margin.output)}
        parts |= {f"{name} of {margin.target.paths.place}": value for name, value in own.items()}
    return Fingerprint({name: _text(value) for name, value in parts.items()}, plan.file_marks)


def _place(folder: AnyPath) -> str:
    return str(real_path(folder) if isinstance(folder, Path) else folder)


def _text(value: Any) -> str:
    raw = value if isinstance(value, bytes) else repr(value).encode()
    if isinstance(value, bytes) or len(raw) > _SHOWN_CHARACTERS:
        return f"sha256:{hashlib.sha256(raw).hexdigest()}"
    return raw.decode()
