"""Exact margins of any radius for catalogs of LSDB, computed when they are used.

`with_margin` gives a catalog a margin that no one has to build before: LSDB computes it together with what needs it,
and only for the partitions that are asked for. `crossmatch` gives both catalogs the margins that it needs, and calls
LSDB's. `recommend_threshold` says how wide a margin must be to be stored.

It needs LSDB (``pip install 'lsdb>=0.11,<0.12'``). Importing this module imports LSDB.
"""

from skymargin.lsdb.versions import require_lsdb

require_lsdb()

from skymargin.lsdb.margin import with_margin  # noqa: E402 - LSDB must be there
from skymargin.lsdb.matching import crossmatch, recommend_threshold  # noqa: E402

__all__ = ["crossmatch", "recommend_threshold", "with_margin"]


def __dir__() -> list[str]:
    # Without the modules: they are not for users.
    return __all__
