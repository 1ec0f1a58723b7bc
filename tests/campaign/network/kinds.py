"""What a server does wrong in each kind of run, and when."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tests.campaign.network.proxy import Request

ENDING = "Norder=2/Dir=0/Npix=52.parquet"
DROPS, SHORT, STATUS = ("drop", "lose", "reset", "cut"), ("short",), ("500", "503", "429")
SLOW, OTHER = ("delay", "stall"), ("whole", "shifted", "html")
_FILE, _READ_FILE = re.escape(ENDING), f"GET.*{re.escape(ENDING)}"
_WRITTEN = rf"^PUT .*({_FILE}|_metadata|hats\.properties|partition_info\.csv)"


@dataclass(frozen=True)
class Kind:
    """A row of the table: what is done wrong, and how it must end.

    Attributes
    ----------
    fault
        In words.
    where
        `http` or `s3` for the catalog that is read, `out` for the margin that is written, `over` for one that is
        written in the place of another.
    faults
        Those of the proxy, of which one is chosen each time.
    times
        How often in the full and in the short form.
    asked
        Which requests are concerned: what their text matches.
    stays
        Whether the fault never goes away; else each request fails at most twice in a row.
    may_refuse
        Whether an error is as right as a margin, where trying again cannot help.
    """

    fault: str
    where: str
    faults: tuple[str, ...]
    times: tuple[int, int]
    asked: str = ""
    stays: bool = False
    may_refuse: bool = False


_WEB_NEVER = (*DROPS, *SHORT, *STATUS, "stall", "html")
_S3_NEVER = (*DROPS, *SHORT, "500", "403", "404", "html")
_BUSY = ("500", "503")
_DELETED = ("errors", "errors", "403", "500")
_REFUSED_DELETION = "S3, replaced: a deletion is refused, with status 200 or not"

KINDS = (
    Kind("HTTP: connections dropped, reset, cut in the middle", "http", DROPS, (14, 1)),
    Kind("HTTP: fewer bytes, the stated length agrees", "http", SHORT, (8, 1), "GET"),
    Kind("HTTP: status 500, 503, 429", "http", STATUS, (8, 1)),
    Kind("HTTP: late answers, and none at all", "http", SLOW, (8, 1)),
    Kind("HTTP: the whole file, another range, a page of HTML", "http", OTHER, (12, 1), may_refuse=True),
    Kind("HTTP: one file never comes right", "http", _WEB_NEVER, (14, 1), _FILE, stays=True),
    Kind("HTTP: 403, 404 for one file", "http", ("403", "404"), (4, 0), _FILE, stays=True),
    Kind("S3, read: dropped, cut, short, 500, 503", "s3", (*DROPS, *SHORT, *_BUSY), (14, 1), "GET"),
    Kind("S3, read: late answers, and none at all", "s3", SLOW, (4, 0), "GET"),
    Kind("S3, read: one file never comes right", "s3", _S3_NEVER, (8, 1), _READ_FILE, stays=True),
    Kind("S3, written: requests fail at random", "out", (*DROPS, *_BUSY), (12, 1)),
    Kind(
        "S3, written: one request always fails", "out", ("drop", "500", "403"), (8, 1), _WRITTEN, stays=True
    ),
    Kind("S3, replaced: copies and deletions fail at random", "over", ("drop", "lose", "500"), (8, 0)),
    Kind(_REFUSED_DELETION, "over", _DELETED, (6, 1), r"^POST .*\?delete", stays=True),
    Kind("S3, written in parts: requests fail at random", "parts", (*DROPS, *_BUSY), (4, 0), "parts"),
)


@dataclass(frozen=True)
class Case:
    """One run with faults, and the next one without."""

    number: int
    kind: Kind
    seed: int
    rate: float

    def plan(self) -> Callable[[Request, int], str | None]:
        """Return what chooses the faults."""
        rng, lock, kind = random.Random(self.seed), threading.Lock(), self.kind
        always = rng.choice(kind.faults)
        in_a_row: dict[Request, int] = {}

        def choose(request: Request, _before: int) -> str | None:
            if not re.search(kind.asked, str(request)):
                return None
            if kind.stays:
                return always
            with lock:
                if in_a_row.get(request, 0) < 2 and rng.random() < self.rate:
                    in_a_row[request] = in_a_row.get(request, 0) + 1
                    return rng.choice(kind.faults)
                in_a_row[request] = 0
            return None

        return choose

    def __str__(self) -> str:
        return f"case {self.number} (seed {self.seed}, rate {self.rate:.2f}, {'/'.join(self.kind.faults)})"
