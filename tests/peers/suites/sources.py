"""The source distributions of the other packages, which hold their tests: downloaded once, checked, unpacked."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.environments import ROOT

# Neither is in the repository, and `make clean` removes both.
CACHE = ROOT / ".venvs" / "sources"


class NotReachableError(Exception):
    """A source distribution cannot be downloaded from here."""


@dataclass(frozen=True)
class Source:
    """A source distribution.

    Attributes
    ----------
    package, version : str
        Its name on PyPI, and the version.
    sha256 : str
        Digest of the archive.
    """

    package: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """The name of the archive, and of the only folder in it."""
        return f"{self.package.replace('-', '_')}-{self.version}"

    def archive(self, cache: Path = CACHE) -> Path:
        """The archive, which is downloaded unless it is there.

        Raises
        ------
        NotReachableError
            When it cannot be downloaded.
        ValueError
            When it is another one than that of the digest.
        """
        archive = cache / f"{self.name}.tar.gz"
        if not archive.exists():
            self._download(cache)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != self.sha256:
            raise ValueError(
                f"{archive} has the digest {digest}, not {self.sha256}: remove it, or correct the pin"
            )
        return archive

    def unpack(self, folder: Path, cache: Path = CACHE) -> Path:
        """Unpack it into a folder; return the folder that was in the archive."""
        with tarfile.open(self.archive(cache)) as archive:
            archive.extractall(folder, filter="data")
        return folder / self.name

    def _download(self, cache: Path) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(cache)]
        done = subprocess.run(
            [*command, "--no-binary", self.package, f"{self.package}=={self.version}"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            reason = next(reversed(done.stderr.strip().splitlines()), "no reason given")
            raise NotReachableError(f"pip cannot download {self.package}=={self.version}: {reason}")


HATS_IMPORT = Source(
    "hats-import", "0.11.1", "6f569fc891abeeb04d6f715eb364bdd0ae67313277c175b752ba3f5daff5ee88"
)
HIPSCAT_IMPORT = Source(
    "hipscat-import", "0.3.5", "20cde00e2930ec29518f7c2adcdf9f9121408e6a0458ed4a0a9f37e3e79174fc"
)
LSDB = Source("lsdb", "0.11.1", "eebd75fe93c603ed1a89331bd9aad10b1fb9dab15bbc28f506536e2a3acf9a65")
