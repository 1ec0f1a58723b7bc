"""The last step of a run: the margin catalog that was built aside gets its place, whole or not at all.

On a local file system, where `final` is the catalog, `partial` what was built and `old` a name beside them:

| a run is killed | there is | a reader finds | the next run |
|---|---|---|---|
| before anything is moved | `final` (when one is replaced), `partial` | the old catalog, or none | goes on |
| after `final` became `old` | `old`, `partial` | none | with the same arguments: makes `partial` `final`; \
else: makes `old` `final` again |
| after `partial` became `final` | `final`, `old` | the new catalog | removes `old` |
| while `old` is removed | `final`, some of `old` under a third name | the new catalog | removes the rest |

Each move is one rename, which happens or does not. On an object store nothing can be renamed: objects are copied, in an
order in which no mixture of two catalogs is ever a catalog. There is none at all from the moment when the properties of
the old one are removed until those of the new one are written, last.

| a run is killed | a reader finds | the next run |
|---|---|---|
| before the old properties are removed | the old catalog, or none | goes on |
| before the new properties are written | none | with the same arguments: copies again; else needs `overwrite`, \
which knows the files for those of skymargin by `RECORD` |
| after that | the new catalog | removes what was built aside |
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from skymargin import remote_output
from skymargin.formats.ownership import RECORD, VALID_BY
from skymargin.storage import AnyPath, exists, is_empty_folder, read_bytes, remove_folder

if TYPE_CHECKING:
    from upath import UPath


def put_in_place(partial: AnyPath, final: AnyPath, old: AnyPath) -> None:
    """Make the catalog that was built the one at its place; what was there is replaced.

    Parameters
    ----------
    partial
        What was built.
    final
        Its place.
    old
        Name for what was there, while it is needed; of no use on an object store.

    Raises
    ------
    OSError
        When something cannot be moved. What was at the place before is there then, on a local file system.
    """
    if not isinstance(partial, Path):
        remote_output.replace(partial, cast("UPath", final), marker=RECORD)
        return
    final, old = Path(str(final)), Path(str(old))
    replaces = final.exists()
    if replaces:
        final.rename(old)
    try:
        partial.rename(final)
    except BaseException:
        if replaces:
            old.rename(final)
        raise
    remove_folder(old)


def bring_back(final: AnyPath, old: AnyPath) -> None:
    """Undo or end the moves of a run that was killed between them, when it is not gone on with.

    Parameters
    ----------
    final
        Place of the catalog.
    old
        Name for what was there before.
    """
    if not isinstance(old, Path) or not old.exists():
        return
    final = Path(str(final))
    if final.exists() and not is_empty_folder(final):
        remove_folder(old)
        return
    with suppress(FileNotFoundError):
        final.rmdir()
    old.rename(final)


def digest_of(catalog: AnyPath) -> str | None:
    """What tells one making of a catalog from another: its properties, which say when it was made; None without."""
    import hashlib

    # The two of HATS have the same bytes; a copy that was cut off may have one of them.
    written = [catalog / name for name in VALID_BY if exists(catalog / name)]
    return hashlib.sha256(read_bytes(written[-1])).hexdigest() if written else None
