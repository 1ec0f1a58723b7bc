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
those of the new one are written, last. Where there is nothing to replace, threads of this process write margins to the
final path at once, below the mark of their run (`PlaceMark`). The few other files wait on this machine, in two folders
of which neither is a catalog, and are sent when all margins are there, the properties last.

| a run is killed | a reader finds | the next run |
|---|---|---|
| before the old properties are removed | the old catalog, or none | resumes |
| before the new properties are written | none | with the same arguments: copies again; otherwise needs `overwrite`, \
which recognizes the files of skymargin by `RECORD` |
| after that | the new catalog | removes what was built aside |

So whatever request is the last one of a killed run, a reader finds no catalog, or a whole one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from skymargin.catalogs.layout import MARKS_ASIDE, RECORD, VALID_BY
from skymargin.catalogs.ownership import inspect_existing
from skymargin.errors import OutputExistsError, StorageError
from skymargin.formatting import listed
from skymargin.storage import remote_output
from skymargin.storage.output_folder import send_files
from skymargin.storage.paths import (
    AnyPath,
    is_empty_folder,
    list_files,
    names_in,
    read_bytes,
    remove_folder,
)

if TYPE_CHECKING:
    from upath import UPath

    from skymargin.catalogs.place_mark import PlaceMark


def publish_folder(
    partial: AnyPath, final: AnyPath, old: AnyPath, replaced: Collection[str] | None = None
) -> None:
    """Move the catalog that was built to its final path; an existing one is replaced.

    `old` is the name of an existing catalog until it is removed; an object store does not use it. What is there may be
    removed, as the catalog at `final` may. `replaced` has the files of that one, if they have just been listed.

    Raises
    ------
    OutputExistsError
        When something else has come to `final` since it was checked. It stays there.
    OSError
        When something cannot be moved. On a local file system the existing catalog is at its path again then.
    """
    if not isinstance(partial, Path):
        remote_output.publish(partial, cast("UPath", final), marker=RECORD, replaced=replaced)
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


def complete(partial: Path, final: UPath, margins: Mapping[str, int], mark: PlaceMark) -> None:
    """Send the files that make the margins at a final path on an object store a catalog.

    Those of `MARKS_ASIDE` are the last, when all others are known to be there. Just before them, the record of the
    catalog takes the place of the mark of the run. It can be done again.

    Parameters
    ----------
    partial
        The folder of these files, on this machine.
    final
        The final path.
    margins
        The margins there, with their sizes in bytes.
    mark
        The mark of the run at the final path.

    Raises
    ------
    OutputInUseError
        When another run writes to the final path.
    OutputExistsError
        When something else has come to the final path.
    StorageError
        When a file cannot be written, or a margin is not there any more.
    """
    sizes = list_files(partial)
    marks = sorted(name for name in sizes if name.startswith(f"{MARKS_ASIDE}/"))
    others = sorted(sizes.keys() - {*marks, RECORD})
    mark.check()
    send_files({name: partial / name for name in others}, final)
    expected = {**margins, **{name: sizes[name] for name in others}}
    arrived = list_files(final)
    for name, size in expected.items():
        if arrived.get(name) != size:
            now = f"has {arrived[name]} bytes" if name in arrived else "is missing"
            raise StorageError(f"{final / name} was written with {size} bytes and {now} now")
    own = {name: name.removeprefix(f"{MARKS_ASIDE}/") for name in marks}
    if foreign := sorted(arrived.keys() - expected.keys() - {*own.values(), RECORD}):
        raise OutputExistsError(f"{final} also holds {listed(foreign)}, which this run did not write")
    mark.check()
    send_files({RECORD: partial / RECORD}, final)
    mark.check()
    for aside, name in own.items():
        send_files({name: partial / aside}, final)


def restore(final: AnyPath, old: AnyPath) -> bool:
    """Undo the move of a run that was killed before its margin catalog was at `final`; nothing is removed.

    Returns whether a catalog is at its path again.
    """
    if not isinstance(old, Path) or not old.exists():
        return False
    final = Path(str(final))
    if final.exists() and not is_empty_folder(final):
        return False
    with suppress(FileNotFoundError):
        final.rmdir()
    old.rename(final)
    return True


def recover(final: AnyPath, old: AnyPath) -> None:
    """Undo or complete the moves of a run that was killed between them and is not resumed.

    What is at `final` must be the work of that run, or what may be replaced: `old` is removed in its favour.
    """
    restore(final, old)
    if isinstance(old, Path) and old.exists():
        remove_folder(old)


def digest_of(catalog: AnyPath, names: Collection[str] | None = None) -> str | None:
    """Digest of a catalog's properties, which say when it was made; None without properties.

    `names` are those of its files, if they have just been listed.
    """
    if names is None:
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
