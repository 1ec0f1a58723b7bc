"""Check a wheel before it is given away: its size, and on Linux that auditwheel confirms its platform tag.

The tag says on which systems the wheel can be installed. A wheel that `make wheel` builds needs the C library of the
machine that built it, or a newer one; wheels for older systems are built in a manylinux container.
"""

import re
import subprocess
import sys
from pathlib import Path

MAX_BYTES = 12_000_000


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
    confirmed = re.search(r'platform tag: "(manylinux_(\d+)_(\d+)_\w+)"', " ".join(done.stdout.split()))
    if confirmed is None:
        sys.exit(f"{wheel} is no manylinux wheel:\n{done.stdout}")
    tag, *glibc = confirmed.groups()
    if tag not in wheel.name:
        sys.exit(f"{wheel} should be tagged {tag}, as auditwheel says")
    return f"{said}, for Linux with glibc {'.'.join(glibc)} or newer ({tag}, confirmed by auditwheel)"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(check(Path(name)))
