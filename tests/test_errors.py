"""Errors of the package: one base, the usual Python classes beside it, and a way through processes."""

from __future__ import annotations

import pickle

import distributed  # noqa: F401  # it changes how errors are pickled
import pytest

from skymargin import errors

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.SkymarginError)
]


def test_there_are_errors() -> None:
    assert len(KINDS) > 8


@pytest.mark.parametrize("kind", KINDS)
def test_errors_survive_the_way_from_a_worker(kind: type[errors.SkymarginError]) -> None:
    error = pickle.loads(pickle.dumps(kind("file: reason")))
    assert type(error) is kind
    assert str(error) == "file: reason"
    assert kind.__doc__


@pytest.mark.parametrize(
    ("kind", "usual"),
    [
        (errors.ArgumentError, ValueError),
        (errors.OutputExistsError, FileExistsError),
        (errors.CatalogError, ValueError),
        (errors.CatalogNotFoundError, FileNotFoundError),
        (errors.MissingPartitionError, FileNotFoundError),
        (errors.PartitionReadError, OSError),
        (errors.PositionError, ValueError),
        (errors.StorageError, OSError),
    ],
)
def test_errors_are_also_what_python_calls_them(kind: type, usual: type) -> None:
    assert issubclass(kind, usual)
