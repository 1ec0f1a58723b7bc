"""Hostile input, some of each kind; and that its judge sees what is wrong."""

from __future__ import annotations

from pathlib import Path

from tests.campaign.conftest import RunShort
from tests.campaign.hostile.process import Asked, Case, Sandbox, build, template, try_case


def test_hostile_input_is_refused_or_does_no_harm(run_short: RunShort) -> None:
    outcome = run_short("hostile")
    assert len(outcome.tallies) >= 12
    assert sum(tally.tried for tally in outcome.tallies) > 70


def test_its_judge_sees_what_is_wrong(tmp_path: Path) -> None:
    begins = template(tmp_path / "template")

    def ending_of(arrange: object) -> str:
        case = Case("planted", "planted", arrange)  # type: ignore[arg-type]
        try_case(case, begins, tmp_path / "case")
        return case.failure

    def usual(sandbox: Sandbox, *more: str, **about: object) -> Asked:
        return Asked(build(sandbox, *more), ("nothing of the kind",), sandbox.out / "margin", **about)  # type: ignore[arg-type]

    def fewer_rows(sandbox: Sandbox) -> Asked:
        asked = usual(sandbox)
        asked.arguments[asked.arguments.index("-t") + 1] = "30"
        return asked

    assert ending_of(usual) == ""
    assert "was made where none is right" in ending_of(lambda sandbox: usual(sandbox, refused=True))
    assert "nobody was warned" in ending_of(lambda sandbox: usual(sandbox, warned="of this"))
    assert "other rows" in ending_of(fewer_rows)
    assert "names none of" in ending_of(lambda sandbox: usual(sandbox, "--tmp-dir=/dev/null/x"))
    outside = ending_of(lambda sandbox: usual(sandbox, f"--output={sandbox.folder / 'outside'}"))
    assert "there is no margin" in outside
    elsewhere = ending_of(
        lambda sandbox: Asked(build(sandbox, f"--output={sandbox.folder / 'outside'}"), (), None)
    )
    assert "outside of the output was changed: ['outside/margin'" in elsewhere
