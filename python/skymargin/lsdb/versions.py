"""Which versions of LSDB work.

Catalogs of LSDB are built from classes whose constructors changed with its minor versions. Another version is refused
here with one clear message, rather than somewhere inside.
"""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from skymargin.errors import MissingExtraError

# The series, and the releases of it with which the tests were run.
SERIES = (0, 11)
TESTED = ("0.11.0", "0.11.1")
_INSTALL = "pip install 'lsdb>=0.11,<0.12'"


def require_lsdb() -> None:
    """Check that LSDB is installed in a version that works.

    Raises
    ------
    MissingExtraError
        When it is not.
    """
    try:
        found = version("lsdb")
    except PackageNotFoundError as error:
        raise MissingExtraError(f"skymargin.lsdb needs LSDB: {_INSTALL}") from error
    check_version(found)


def check_version(found: str) -> None:
    """Check a version of LSDB.

    Raises
    ------
    MissingExtraError
        When it is of another series.
    """
    if series_of(found) != SERIES:
        wanted = ".".join(map(str, SERIES))
        raise MissingExtraError(
            f"LSDB {found} is not supported by skymargin.lsdb, which works with LSDB {wanted} (tested: "
            f"{' and '.join(TESTED)}): {_INSTALL}, or build a margin catalog with "
            "skymargin.pipeline and open it with lsdb.open_catalog(..., margin_cache=...)"
        )


def has_outer() -> bool:
    """Whether the installed LSDB has outer crossmatches."""
    return version("lsdb") != "0.11.0"


def series_of(found: str) -> tuple[int, ...]:
    """The first two numbers of a version; none when it does not begin with them."""
    numbers = re.match(r"(\d+)\.(\d+)(?!\d)", found)
    return tuple(map(int, numbers.groups())) if numbers else ()
