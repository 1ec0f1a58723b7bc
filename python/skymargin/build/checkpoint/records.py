"""Checkpoint files: written atomically, trusted only if owned by the current user."""

from __future__ import annotations

import json
import os
import pickle
import stat
from pathlib import Path
from typing import Any

from skymargin.errors import StorageError
from skymargin.storage.paths import atomic_write


def check_owner(folder: Path) -> None:
    """Check that a folder of records, if it exists, was not made by another user.

    Its name can be predicted, and unpickling a record can run code. Where others may create folders, as in the system's
    temporary folder, it must belong to the current user.

    Raises
    ------
    StorageError
        When it belongs to another user.
    """
    if not hasattr(os, "geteuid"):
        return
    try:
        # The owner of a link counts, not that of its target.
        owner, others = folder.lstat().st_uid, folder.parent.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    except FileNotFoundError:
        return
    if others and owner != os.geteuid():
        raise StorageError(
            f"{folder}, where a run keeps its progress, belongs to another user (number {owner}): remove it, or "
            "give a tmp_dir or resume_tmp of your own"
        )


def write_record(folder: Path, name: str, content: bytes) -> None:
    """Write a record.

    Raises
    ------
    StorageError
        When it cannot be written.
    """
    try:
        with atomic_write(folder / name) as aside:
            aside.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error}") from error


def read_json(file: Path) -> Any:
    """Content of a record; None when it is missing or damaged."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def read_pickle(file: Path) -> Any:
    """The same for a record of results."""
    try:
        return pickle.loads(file.read_bytes())
    except Exception:
        # A damaged file may raise anything; its task is run again.
        return None
