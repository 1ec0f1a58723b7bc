"""Check a wheel before it is given away: its size, and on Linux that auditwheel confirms its platform tag.

The tag says on which systems the wheel can be installed: those with this version of glibc, or a newer one. The
extension may need an older one than the tag says, and never a newer one. A wheel that `make wheel` builds needs the
C library of the machine that built it; wheels for older systems are built in a manylinux container.
"""

import re
import subprocess
import sys
from pathlib import Path

MAX_BYTES = 12_000_000
TAG = re.compile(r"manylinux_(?P<major>\d+)_(?P<minor>\d+)_(?P<machine>[a-z0-9_]+)")


def check(wheel: Path) -> str:
    size_bytes = wheel.stat().st_size
    if size_bytes > MAX_BYTES:
        sys.exit(
            f"{wheel} has {size_bytes:,} bytes, more than {MAX_BYTES:,}: are there symbols in the extension?"
        )
    said = f"{wheel}: {size_bytes / 1e6:.1f} MB"
    if not sys.platform.startswith("linux"):
        return said
    done = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", str(wheel)], capture_output=True, text=True, check=True
    )
    # Its text is broken into lines.
    needed = re.search(rf'platform tag: "({TAG.pattern})"', " ".join(done.stdout.split()))
    if needed is None:
        sys.exit(f"{wheel} is no manylinux wheel:\n{done.stdout}")
    tagged = TAG.search(wheel.name)
    if tagged is None or tagged["machine"] != needed["machine"] or _glibc(tagged) < _glibc(needed):
        sys.exit(f"{wheel} should be tagged {needed[1]}, as auditwheel says")
    version = ".".join(map(str, _glibc(tagged)))
    return f"{said}, for Linux with glibc {version} or newer ({tagged[0]}, confirmed by auditwheel)"


def _glibc(tag: re.Match[str]) -> tuple[int, int]:
    """The version of glibc in a tag."""
    return int(tag["major"]), int(tag["minor"])


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(check(Path(name)))
