"""The schema of a catalog: which of its files has it, and whether it can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from skymargin.catalogs.layout import COMMON_METADATA, METADATA
from skymargin.catalogs.metadata_file import read_schema
from skymargin.errors import CatalogError
from skymargin.storage.paths import AnyPath, exists

if TYPE_CHECKING:
    import pyarrow as pa


def catalog_schema(
    path: AnyPath, data: AnyPath, first: tuple[AnyPath, int | None] | None, listed: Mapping[str, int] | None
) -> pa.Schema:
    """Schema of a catalog: that of `_common_metadata`, else of `_metadata`, else of its first partition.

    Parameters
    ----------
    path
        The catalog.
    data
        The folder that holds its partitions.
    first
        The first file of a partition, if there is one, with its size where that is known.
    listed
        Every file below `data`, with its size; None where files cannot be listed.

    Raises
    ------
    CatalogError
        When no file has it, it cannot be read, or it names a column twice.
    """
    name = _metadata_name(data, listed)
    if name is not None:
        source, size_bytes = data / name, None if listed is None else listed[name]
    elif first is not None:
        source, size_bytes = first
    else:
        raise CatalogError(
            f"{path} has no partitions and no {COMMON_METADATA}: nothing says which columns it has"
        )
    schema = read_schema(source, size_bytes)
    if not _is_text(schema):
        raise CatalogError(f"{source} has names or metadata of columns that are not UTF-8: it is damaged")
    twice = sorted(name for name, count in Counter(schema.names).items() if count > 1)
    if twice:
        raise CatalogError(f"{source} has more than one column named {twice[0]!r}")
    return schema


def schema_source(
    data: AnyPath, files: list[tuple[str, ...]], listed: Container[str] | None
) -> AnyPath | None:
    """The file whose schema is that of the catalog, if there is one.

    `listed` has the files directly in `data`; None where they cannot be listed.
    """
    name = _metadata_name(data, listed) or (files[0][0] if files else None)
    return None if name is None else data / name


def _metadata_name(data: AnyPath, listed: Container[str] | None) -> str | None:
    """The first of the files for metadata alone that is there."""
    for name in (COMMON_METADATA, METADATA):
        if exists(data / name) if listed is None else name in listed:
            return name
    return None


def _is_text(schema: pa.Schema) -> bool:
    """Whether all names and metadata of a schema are UTF-8, which everything that reads them assumes."""
    texts = dict(schema.metadata or {})
    fields = list(schema)
    try:
        while fields:
            field = fields.pop()
            texts |= {field.name.encode(): b"", **(field.metadata or {})}
            fields += [field.type.field(number) for number in range(field.type.num_fields)]
        for text in (*texts.keys(), *texts.values()):
            text.decode()
    except UnicodeDecodeError:
        return False
    return True
