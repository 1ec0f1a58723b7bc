"""The same bytes from every run, in short; and that one other byte is seen."""

from __future__ import annotations

from tests.campaign.conftest import RunShort
from tests.campaign.determinism.campaign import different, digests_of

MARGIN = {
    "dataset/Norder=0/Dir=0/Npix=1.parquet": b"rows",
    "hats.properties": b"#HATS catalog\nhats_nrows=2\nhats_primary_table_url=/here\nhats_creation_date=today\n",
    "_metadata.skymargin.json": b"times of change",
}


def test_every_run_writes_the_same_bytes(run_short: RunShort) -> None:
    outcome = run_short("determinism")
    assert len(outcome.figures[0].rows) == 2
    # The properties hold the minute of the run, and that alone may differ.
    several = {name for row in outcome.figures[0].rows for name in row[4].split(", ")}
    assert several <= {"none", "hats.properties", "properties", "catalog_info.json", "provenance_info.json"}


def test_another_byte_is_seen() -> None:
    reference = digests_of(MARGIN)
    for name, content in MARGIN.items():
        changed = digests_of({**MARGIN, name: content.replace(b"s", b"z", 1)})
        assert name in different(changed, reference, elsewhere=False), name
    assert "other files" in different(digests_of({"hats.properties": b""}), reference, elsewhere=False)


def test_the_minute_of_a_run_and_where_its_catalog_was_do_not_count() -> None:
    reference = digests_of(MARGIN)
    later = {**MARGIN, "hats.properties": MARGIN["hats.properties"].replace(b"today", b"tomorrow")}
    assert not different(digests_of(later), reference, elsewhere=False)
    elsewhere = {**MARGIN, "hats.properties": MARGIN["hats.properties"].replace(b"/here", b"s3://there")}
    assert different(digests_of(elsewhere), reference, elsewhere=False)
    assert not different(digests_of(elsewhere), reference, elsewhere=True)
