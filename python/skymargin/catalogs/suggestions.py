"""What to say of a path at which there is no catalog: the catalogs in it, the catalog it is a part of, its tables."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from skymargin.catalogs.layout import CATALOG_FILES, COLLECTION, VALID_BY, is_data_folder
from skymargin.errors import CatalogNotFoundError
from skymargin.formatting import listed
from skymargin.storage.paths import AnyPath, absolute, can_list, exists, translate_errors

# How many entries of a folder are looked at, and how many catalogs are named.
_MOST_ENTRIES = 1000
_MOST_NAMED = 10
# How files of tables are read, by the end of their names; `{}` is the path of one file, or of a folder of them.
_READ_FILE = {
    (".csv", ".csv.gz"): "pyarrow.csv.read_csv({!r})",
    (".parquet", ".parq"): "pyarrow.parquet.read_table({!r})",
    (".fits", ".fits.gz", ".fit", ".ecsv", ".vot", ".votable"): "astropy.table.Table.read({!r})",
}
_READ_FOLDER = {
    (".csv", ".csv.gz"): 'pyarrow.dataset.dataset({!r}, format="csv").to_table()',
    (".parquet", ".parq"): "pyarrow.parquet.read_table({!r})",
}


def no_catalog(path: AnyPath, argument: str = "") -> CatalogNotFoundError:
    """The error for a path at which something is, but no catalog.

    Parameters
    ----------
    path
        The path.
    argument
        The argument that named it, for the message.
    """
    prefix = f"{argument}: " if argument else ""
    outer = enclosing_catalog(path)
    if outer is not None:
        return CatalogNotFoundError(
            f"{prefix}{path} is a folder of the catalog {outer}: give {outer} instead"
        )
    return CatalogNotFoundError(f"{prefix}{path} is not a catalog: it has no {CATALOG_FILES}{_hint(path)}")


def enclosing_catalog(path: AnyPath) -> AnyPath | None:
    """The catalog whose folder of partitions a path is, or lies in; None for all other paths."""
    inner = absolute(path)
    folder = inner
    while is_data_folder(folder.name):
        folder = folder.parent
    if folder == inner or is_catalog(inner) or not is_catalog(folder):
        return None
    return folder


def catalogs_in(folder: AnyPath) -> list[AnyPath]:
    """The catalogs and collections directly in a folder, by name."""
    return [path for path in _entries(folder) if is_catalog(path)]


def is_catalog(path: AnyPath) -> bool:
    """Whether there is a complete catalog, a margin or a collection."""
    return any(exists(path / name) for name in (*VALID_BY, COLLECTION))


def _entries(folder: AnyPath) -> list[AnyPath]:
    """The first entries of a folder; none where that cannot be asked."""
    if isinstance(folder, Path) and not folder.is_dir():
        return []
    try:
        if not can_list(folder):
            return []
        with translate_errors(folder):
            paths: Iterable[AnyPath] = folder.iterdir()
            return sorted(paths, key=str)[:_MOST_ENTRIES]
    except OSError:
        return []


def _hint(path: AnyPath) -> str:
    catalogs = [catalog.name for catalog in catalogs_in(path)]
    if catalogs:
        return f"; catalogs in it: {listed(catalogs, _MOST_NAMED)}"
    is_file = isinstance(path, Path) and path.is_file()
    files = [path] if is_file else _entries(path)
    for suffixes in _READ_FILE:
        tables = [file for file in files if file.name.lower().endswith(suffixes)]
        if not tables:
            continue
        stem = tables[0].name.split(".")[0] if is_file else f"{absolute(path).name or 'sky'}_catalog"
        if len(tables) > 1 and suffixes in _READ_FOLDER:
            read = _READ_FOLDER[suffixes].format(str(path))
        else:
            read = _READ_FILE[suffixes].format(str(tables[0]))
        return (
            f"; {'this is a table' if is_file else 'there are tables in it'}, of which two lines of Python make a "
            f"catalog: table = {read}; skymargin.write_catalog(table, {stem!r}, ra_column='ra', dec_column='dec')"
        )
    return ""
