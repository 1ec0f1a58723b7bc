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
    stays
        Whether the fault never goes away; else each request fails at most twice in a row.
    asked
        Which requests are concerned: what their text matches.
    may_refuse
        Whether an error is as right as a margin, where trying again cannot help.
    times
        How often in the full and in the short form.
    """

    fault: str
    where: str
    faults: tuple[str, ...]
    stays: bool
    asked: str
    may_refuse: bool
    times: tuple[int, int]


KINDS = (
    Kind("HTTP: connections dropped, reset, cut in the middle", "http", DROPS, False, "", False, (14, 1)),
    Kind("HTTP: fewer bytes, the stated length agrees", "http", SHORT, False, "GET", False, (8, 1)),
    Kind("HTTP: status 500, 503, 429", "http", STATUS, False, "", False, (8, 0)),
    Kind("HTTP: late answers, and none at all", "http", SLOW, False, "", False, (8, 1)),
    Kind("HTTP: the whole file, another range, a page of HTML", "http", OTHER, False, "", True, (12, 1)),
    Kind(
        "HTTP: one file never comes right",
        "http",
        (*DROPS, *SHORT, *STATUS, "stall", "html"),
        True,
        re.escape(ENDING),
        False,
        (14, 1),
    ),
    Kind("HTTP: 403, 404 for one file", "http", ("403", "404"), True, re.escape(ENDING), False, (4, 0)),
    Kind(
        "S3, read: dropped, cut, short, 500, 503",
        "s3",
        (*DROPS, *SHORT, "500", "503"),
        False,
        "GET",
        False,
        (14, 1),
    ),
    Kind("S3, read: late answers, and none at all", "s3", SLOW, False, "GET", False, (4, 0)),
    Kind(
        "S3, read: one file never comes right",
        "s3",
        (*DROPS, *SHORT, "500", "403", "404", "html"),
        True,
        f"GET.*{re.escape(ENDING)}",
        False,
        (8, 1),
    ),
    Kind("S3, written: requests fail at random", "out", (*DROPS, "500", "503"), False, "", False, (12, 1)),
    Kind(
        "S3, written: one request always fails",
        "out",
        ("drop", "500", "403"),
        True,
        rf"^PUT .*({re.escape(ENDING)}|_metadata|hats\.properties|partition_info\.csv)",
        False,
        (8, 1),
    ),
    Kind(
        "S3, replaced: copies and deletions fail at random",
        "over",
        ("drop", "lose", "500"),
        False,
        "",
        False,
        (8, 0),
    ),
    Kind(
        "S3, replaced: a deletion is refused, with status 200 or not",
        "over",
        ("errors", "errors", "403", "500"),
        True,
        r"^POST .*\?delete",
        False,
        (6, 1),
    ),
    Kind(
        "S3, written in parts: requests fail at random",
        "parts",
        (*DROPS, "500", "503"),
        False,
        "parts",
        False,
        (4, 0),
    ),
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
