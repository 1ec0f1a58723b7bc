"""Compile the package's bytecode, as pip does when it installs a wheel.

Where Python may not write bytecode (``PYTHONDONTWRITEBYTECODE``), each process would compile the modules of the
editable install again, which takes as long as the rest of a small build.
"""

import compileall
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "python" / "skymargin"


def compile_package() -> bool:
    """Compile what has changed; whether all of it could be."""
    return bool(compileall.compile_dir(PACKAGE, quiet=1))


if __name__ == "__main__":
    sys.exit(not compile_package())
