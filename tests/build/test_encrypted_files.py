"""Encrypted files are refused in the same words by the build, `verify`, `info` and pictures, wherever the
encryption is declared.

pyarrow ends the process when it is asked for the metadata of an encrypted column.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyarrow.parquet.encryption import (
    CryptoFactory,
    EncryptionConfiguration,
    KmsClient,
    KmsConnectionConfig,
)

from skymargin import info, verify
from skymargin.errors import CatalogError, PartitionReadError
from skymargin.plot.figures import most_telling_pixel, plot_partition
from tests.build.test_odd_files import INDEXED, SKY, THRESHOLD_ARCSEC
from tests.support import handmade_parquet as handmade
from tests.support.catalogs import files_of, make_margin, write_catalog

REFUSED = "encrypted; encrypted Parquet is not supported"
INDEX = "_healpix_29"


class PlainKeys(KmsClient):  # type: ignore[misc]
    """Keys that are not kept secret."""

    def wrap_key(self, key_bytes: bytes, _: str) -> str:
        return base64.b64encode(key_bytes).decode()

    def unwrap_key(self, wrapped_key: str, _: str) -> bytes:
        return base64.b64decode(wrapped_key)


def encrypted(**options: Any) -> Callable[[Path], None]:
    """What writes a file again as pyarrow encrypts it."""

    def write(file: Path) -> None:
        rows = pq.ParquetFile(file).read()
        factory = CryptoFactory(lambda _: PlainKeys())
        properties = factory.file_encryption_properties(
            KmsConnectionConfig(), EncryptionConfiguration(footer_key="key", **options)
        )
        with pq.ParquetWriter(file, rows.schema, encryption_properties=properties) as writer:
            writer.write_table(rows)

    return write


def column_key(name: str) -> Callable[[Path], None]:
    return encrypted(column_keys={"key": [name]}, plaintext_footer=True)


# How the files are encrypted, and what is said of them.
WAYS: dict[str, tuple[Callable[[Path], None], str]] = {
    "footer": (encrypted(uniform_encryption=True), f": is {REFUSED}"),
    "footer and column": (encrypted(column_keys={"other": ["ra"]}), f": is {REFUSED}"),
    "position": (column_key("dec"), f": column 'dec' is {REFUSED}"),
    "index": (column_key(INDEX), f": column '{INDEX}' is {REFUSED}"),
    "first column": (column_key("id"), f": column 'id' is {REFUSED}"),
    "key of the footer": (lambda file: handmade.encrypt(file, INDEX), f": column '{INDEX}' is {REFUSED}"),
}


@pytest.mark.parametrize("name", WAYS)
def test_all_refuse_it_in_the_same_words(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    catalog, margin = tmp_path / "stars", tmp_path / "margin"
    write_catalog(catalog, SKY, INDEXED)
    (catalog / "dataset" / "_metadata").unlink(missing_ok=True)
    make_margin(catalog, tmp_path, THRESHOLD_ARCSEC)
    pixel = most_telling_pixel(margin, primary=catalog)
    change, words = WAYS[name]
    for file in files_of(catalog).values():
        change(file)
    with pytest.raises((PartitionReadError, CatalogError)) as built:
        make_margin(catalog, tmp_path, THRESHOLD_ARCSEC, "other")
    with pytest.raises((PartitionReadError, CatalogError)) as audited:
        verify(margin, catalog)
    warnings = info(catalog).warnings
    for message in (str(built.value), str(audited.value), *warnings):
        assert message.endswith(words), message
        assert message.removesuffix(words) in map(str, files_of(catalog).values())
    assert warnings
    plot_partition(margin, pixel, primary=catalog)
    assert all(message.startswith("not drawn: ") and message.endswith(words) for message in caplog.messages)
    assert caplog.messages


def test_a_metadata_file_with_encrypted_columns_is_refused(tmp_path: Path) -> None:
    catalog = tmp_path / "stars"
    write_catalog(catalog, SKY, INDEXED)
    metadata = catalog / "dataset" / "_metadata"
    assert metadata.exists()
    (catalog / "partition_info.csv").unlink()
    # It lists the partitions, by the paths in its first column.
    handmade.edit_chunks(metadata, handmade.declare_encrypted, "id")
    words = re.escape(f"_metadata: column 'id' is {REFUSED}")
    with pytest.raises(CatalogError, match=words):
        make_margin(catalog, tmp_path, THRESHOLD_ARCSEC)


def test_a_footer_beyond_the_first_read_is_looked_at(tmp_path: Path) -> None:
    catalog = tmp_path / "stars"
    write_catalog(catalog, SKY, INDEXED)
    (catalog / "dataset" / "_metadata").unlink(missing_ok=True)
    for file in files_of(catalog).values():
        handmade.set_metadata(file, b"notes", b"n" * 200_000)
    assert not info(catalog).warnings
    for file in files_of(catalog).values():
        handmade.encrypt(file, INDEX)
    assert [REFUSED in warning for warning in info(catalog).warnings] == [True]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\xff\xff\xff\x7fPAR1", b"x" * 20])
def test_what_is_no_parquet_is_told_as_before(content: bytes, tmp_path: Path) -> None:
    catalog = tmp_path / "stars"
    write_catalog(catalog, SKY, INDEXED)
    (catalog / "dataset" / "_metadata").unlink(missing_ok=True)
    make_margin(catalog, tmp_path, THRESHOLD_ARCSEC)
    min(files_of(catalog).values()).write_bytes(content)
    with pytest.raises(
        (PartitionReadError, CatalogError), match=r"cannot be read as Parquet|not a Parquet file"
    ):
        verify(tmp_path / "margin", catalog)
