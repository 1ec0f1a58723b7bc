"""Publishing: the finished margin catalog is moved to its final path, completely or not at all.

On a local file system, where `final` is the catalog, `partial` what was built and `old` a name beside them:

| a run is killed | on disk | a reader finds | the next run |
|---|---|---|---|
| before anything is moved | `final` (when one is replaced), `partial` | the old catalog, or none | resumes |
| after `final` became `old` | `old`, `partial` | none | with the same arguments: makes `partial` `final`; \
otherwise makes `old` `final` again |
| after `partial` became `final` | `final`, `old` | the new catalog | removes `old` |
| while `old` is removed | `final`, some of `old` under a third name | the new catalog | removes the rest |

Each move is one atomic rename. Object stores cannot rename: objects are copied, in an order in which no mixture of two
catalogs is ever a valid catalog. There is none from the moment when the properties of the old one are removed until
those of the new one are written, last. Where there is nothing to replace, margins are written to the final path at
once, and only the few other files are copied.

| a run is killed | a reader finds | the next run |
|---|---|---|
| before the old properties are removed | the old catalog, or none | resumes |
| before the new properties are written | none | with the same arguments: copies again; otherwise needs `overwrite`, \
which recognizes the files of skymargin by `RECORD` |
| after that | the new catalog | removes what was built aside |
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from skymargin.catalogs.layout import RECORD, VALID_BY
from skymargin.catalogs.ownership import inspect_existing
from skymargin.errors import OutputExistsError
from skymargin.storage import remote_output
from skymargin.storage.paths import AnyPath, is_empty_folder, names_in, read_bytes, remove_folder

if TYPE_CHECKING:
    from upath import UPath


def publish_folder(partial: AnyPath, final: AnyPath, old: AnyPath, *, adds: bool = False) -> None:
    """Move the catalog that was built to its final path; an existing one is replaced.

    With `adds`, its margins are at a final path on an object store already, and the other files are added. `old` is the
    name of an existing catalog until it is removed; an object store does not use it. What is there may be removed, as
    the catalog at `final` may.

    Raises
    ------
    OutputExistsError
        When something else has come to `final` since it was checked. It stays there.
    OSError
        When something cannot be moved. On a local file system the existing catalog is at its path again then.
    """
    if not isinstance(partial, Path):
        remote_output.publish(partial, cast("UPath", final), marker=RECORD, adds=adds)
        return
    final, old = Path(str(final)), Path(str(old))
    replaces = final.exists()
    if replaces:
        if old.exists():
            remove_folder(old)
        final.rename(old)
    try:
        if replaces:
            _check_moved(old, final)
        partial.rename(final)
    except BaseException:
        if replaces:
            old.rename(final)
        raise
    remove_folder(old)


def restore(final: AnyPath, old: AnyPath) -> None:
    """Undo the move of a run that was killed before its margin catalog was at `final`; nothing is removed."""
    if not isinstance(old, Path) or not old.exists():
        return
    final = Path(str(final))
    if final.exists() and not is_empty_folder(final):
        return
    with suppress(FileNotFoundError):
        final.rmdir()
    old.rename(final)


def recover(final: AnyPath, old: AnyPath) -> None:
    """Undo or complete the moves of a run that was killed between them and is not resumed.

    What is at `final` must be the work of that run, or what may be replaced: `old` is removed in its favour.
    """
    restore(final, old)
    if isinstance(old, Path) and old.exists():
        remove_folder(old)


def digest_of(catalog: AnyPath) -> str | None:
    """Digest of a catalog's properties, which say when it was made; None without properties."""
    names = names_in(catalog) or frozenset()
    # Both files of HATS have the same bytes; an interrupted copy may have one of them.
    written = [catalog / name for name in VALID_BY if name in names]
    return hashlib.sha256(read_bytes(written[-1])).hexdigest() if written else None


def _check_moved(old: Path, final: Path) -> None:
    """Check again what was moved away from `final`: nothing comes to it any more by its path."""
    if is_empty_folder(old):
        return
    existing = inspect_existing(old)
    if not existing.replaceable:
        raise OutputExistsError(
            f"{final} has become {existing.description}, and is not replaced: move it away"
        )
