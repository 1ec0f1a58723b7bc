"""The line at the end of a run says what was made, of what, what was read for it, and how long it took."""

from __future__ import annotations

from skymargin import MarginReport

REPORT = MarginReport(
    catalog_path="out/gaia_1.7arcs",
    rows=2_581,
    partitions=190,
    margin_threshold_arcsec=1.7000000001,
    primary_path="gaia",
    primary_rows=482_176,
    primary_partitions=216,
    bytes_read=13_700_000,
    pages_decoded=70,
    seconds={"planning": 0.1, "mapping": 0.31},
)


def test_the_summary_of_a_run() -> None:
    assert REPORT.summary() == (
        "out/gaia_1.7arcs: 2,581 rows in 190 partitions; threshold 1.7000000001 arcsec; catalog of 482,176 rows in 216 "
        "partitions, 13.7 MB read; 0.4 s"
    )


def test_the_summary_of_an_empty_margin() -> None:
    empty = MarginReport(**REPORT.to_dict() | {"rows": 0, "partitions": 0, "empty_reason": "because it is"})
    assert empty.summary().startswith("out/gaia_1.7arcs: empty margin, because it is; threshold ")


def test_the_summary_tells_hints_that_were_ignored() -> None:
    files = MarginReport(**REPORT.to_dict() | {"hints_ignored": 14})
    assert files.summary().endswith("partitions, 13.7 MB read, 14 wrong hints in its files ignored; 0.4 s")
