"""A fuzzer against the reader: no panic, no hang, no allocation beyond the limit, whatever the bytes are.

In full, libFuzzer changes inputs so that they reach more of the code; ``rust/fuzz`` has the targets. It needs a C++
compiler, and runs on stable Rust: the flags of the compiler that count covered code are not of nightly alone. In short,
and where there is no C++ compiler, a test of the crate changes the same inputs at random.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.cargo import CARGO_TEST
from tests.campaign.fuzz.corpus import TARGETS, write_corpus
from tests.campaign.outcomes import RESULTS, Figures, Outcome, Tally

ROOT = Path(__file__).parents[3]
MINUTES = 30.0
ADDRESS_SPACE_BYTES = 2 << 30
LONGEST_SECONDS = 30
SHORT_CASES, LONG_CASES = 3_000, 1_000_000
_MUTATIONS = [*CARGO_TEST, "--test", "mutations"]
_BUILT = ROOT / "build" / "fuzz"
# Each function counts where it was, and libFuzzer sees what values were compared with.
_COUNTED = (
    "passes=sancov-module",
    "llvm-args=-sanitizer-coverage-level=4",
    "llvm-args=-sanitizer-coverage-inline-8bit-counters",
    "llvm-args=-sanitizer-coverage-pc-table",
    "llvm-args=-sanitizer-coverage-trace-compares",
)
_MUTATED = re.compile(
    r"^(?P<target>\w+): seed \d+, (?P<read>\d+) read, (?P<refused>\d+) refused$", re.MULTILINE
)
_EXECUTED = re.compile(r"^stat::number_of_executed_units:\s*(\d+)$", re.MULTILINE)
_COVERED = re.compile(r"\bcov: (\d+) ft: \d+ corp: (\d+)")


def run(scratch: Path, seed: int, *, short: bool, minutes: float = MINUTES) -> Outcome:
    """Run each target, for so many minutes if in full."""
    outcome = Outcome("fuzz")
    corpus = scratch / "corpus"
    write_corpus(corpus, seed)
    compiler = shutil.which("c++")
    if short or not compiler:
        if not short:
            reason = "libFuzzer, which needs a C++ compiler: inputs were changed at random instead"
            outcome.left_out.append(reason)
        outcome.tallies += mutated(corpus, seed, SHORT_CASES if short else LONG_CASES)
        return outcome
    programs = build()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        ended = pool.map(
            lambda target: _fuzz(programs / target, corpus / target, scratch, seed, minutes), TARGETS
        )
        runs = dict(zip(TARGETS, ended, strict=True))
    outcome.tallies += [fuzzed(target, printed) for target, printed in runs.items()]
    outcome.figures.append(covered(runs))
    return outcome


@dataclass(frozen=True)
class Printed:
    """What a run printed, and how it failed, if it did."""

    text: str
    failure: str = ""


def mutated(corpus: Path, seed: int, cases: int) -> list[Tally]:
    """Change the inputs at random, without libFuzzer."""
    subprocess.run([*_MUTATIONS, "--no-run"], cwd=ROOT, check=True)
    settings = {
        "SKYMARGIN_FUZZ_CASES": str(cases),
        "SKYMARGIN_FUZZ_CORPUS": str(corpus),
        "SKYMARGIN_SEED": str(seed),
    }
    command = [*_MUTATIONS, "--", "--nocapture", "no_input"]
    printed = _run(command, 600 + cases / 100, {**os.environ, **settings})
    return counted(printed)


def counted(printed: Printed) -> list[Tally]:
    """Count the inputs of each target that were read, and those that were refused."""
    counts = {match["target"]: match for match in _MUTATED.finditer(printed.text)}
    tallies = []
    for target in TARGETS:
        tally = Tally(f"inputs of the target `{target}`, changed at random")
        if target in counts:
            tally.survived, tally.refused = int(counts[target]["read"]), int(counts[target]["refused"])
        else:
            tally.failures.append(f"{target} did not end: {printed.failure}")
        tallies.append(tally)
    if printed.failure and len(counts) == len(TARGETS):
        tallies[0].failures.append(printed.failure)
    return tallies


def build() -> Path:
    """Build the programs of libFuzzer, and return their folder."""
    told = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    (host,) = re.findall(r"^host: (.+)$", told, re.MULTILINE)
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--config", "rust/checked.toml"]
    # With a target, the flags are not those of build scripts.
    command += ["-p", "skymargin-fuzz", "--features", "libfuzzer", "--bins", "--target", host]
    flags = " ".join(f"-C{flag}" for flag in _COUNTED)
    environment = {**os.environ, "RUSTFLAGS": flags, "CARGO_TARGET_DIR": str(_BUILT)}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return _BUILT / host / "release"


def _fuzz(program: Path, corpus: Path, scratch: Path, seed: int, minutes: float) -> Printed:
    found = scratch / f"{program.name}-found"
    found.mkdir()
    seconds = max(round(60 * minutes), 1)
    command = [
        str(program),
        str(corpus),
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-timeout={LONGEST_SECONDS}",
        "-rss_limit_mb=0",
        "-max_len=16384",
        "-print_final_stats=1",
        f"-artifact_prefix={found}/",
    ]
    printed = _run(command, seconds + 600)
    inputs = sorted(found.iterdir())
    if not inputs and not printed.failure:
        return printed
    kept = RESULTS / "fuzz"
    kept.mkdir(parents=True, exist_ok=True)
    names = [str(shutil.copy(file, kept / f"{program.name}-{file.name}")) for file in inputs]
    return Printed(printed.text, f"{printed.failure}; inputs: {', '.join(names) or 'none'}")


def fuzzed(target: str, printed: Printed) -> Tally:
    """Count the inputs that libFuzzer tried."""
    limits = f"at most {LONGEST_SECONDS} s and {ADDRESS_SPACE_BYTES >> 30} GiB of address space"
    tally = Tally(f"inputs of libFuzzer for the target `{target}`, {limits}")
    if executed := _EXECUTED.search(printed.text):
        tally.survived = int(executed[1])
    if printed.failure or not executed:
        tally.failures.append(printed.failure or f"it told no counts: {printed.text[-500:]}")
    return tally


def covered(runs: dict[str, Printed]) -> Figures:
    """Tell how much of the code each target reached."""
    rows = []
    for target, printed in runs.items():
        last = next(reversed(_COVERED.findall(printed.text)), ("unknown", "unknown"))
        rows.append([f"`{target}`", *last])
    heads = ["target", "places in the code that it reached", "inputs that reached others"]
    return Figures("What libFuzzer reached:", heads, rows)


def _run(command: list[str], timeout_seconds: float, environment: dict[str, str] | None = None) -> Printed:
    """Run a command in limited memory and time."""
    try:
        ran = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            preexec_fn=_limited,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Printed("", f"it did not end in {timeout_seconds:.0f} s")
    text = ran.stdout + ran.stderr
    return Printed(text, f"it ended with {ran.returncode}: {text[-2_000:]}" if ran.returncode else "")


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
