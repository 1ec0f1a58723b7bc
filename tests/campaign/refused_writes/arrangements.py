"""How each kind of run is kept from writing or reading, and what undoes it."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.campaign.refused_writes.bench import EARLIER_ARCSEC, NAME, Bench, Failed

# Without these even root may write only where the mode of a folder allows it.
_WITHOUT_OVERRIDE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
_ROOMY = "64m"


def _mount(bench: Bench, place: Path, **options: object) -> None:
    place.mkdir(exist_ok=True)
    text = ",".join(f"{key}={value}" for key, value in options.items())
    subprocess.run(["mount", "-t", "tmpfs", "-o", text, "tmpfs", str(place)], check=True)
    bench.mended.append(lambda: _remount(place, f"size={_ROOMY},nr_inodes=10000,rw"))


def _remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def _full_disk(bench: Bench) -> None:
    place = bench.folder / bench.run.where
    _mount(bench, place, size=bench.run.amount)
    bench.named = [str(place)]


def _few_inodes(bench: Bench) -> None:
    place = bench.folder / bench.run.where
    _mount(bench, place, size=_ROOMY, nr_inodes=bench.run.amount)
    bench.named = [str(place)]


def _earlier_margin(bench: Bench) -> None:
    _mount(bench, bench.output, size=_ROOMY)
    status, told = bench.build(spoiled=False, threshold_arcsec=EARLIER_ARCSEC)
    if status != 0:
        raise Failed(f"the earlier run ended with {status}: {told}")
    bench.earlier = bench.contents(bench.output / NAME)
    _remount(bench.output, f"size={_used(bench.output) + bench.run.amount}")
    bench.named = [str(bench.output)]


def _collection(bench: Bench) -> None:
    _mount(bench, bench.output, size=_ROOMY)
    shutil.copytree(bench.catalog, bench.output / bench.run.catalog)
    bench.catalog = bench.output / bench.run.catalog
    (bench.output / "collection.properties").write_text(
        f"# precious\nobs_collection=stars\nhats_primary_table_url={bench.run.catalog}\n"
    )
    bench.may_be_whole = True
    _remount(bench.output, f"size={_used(bench.output) + bench.run.amount}")
    bench.named = [str(bench.output)]


def _used(place: Path) -> int:
    about = os.statvfs(place)
    return (about.f_blocks - about.f_bfree) * about.f_frsize


def _file_size(bench: Bench) -> None:
    limit = bench.run.amount
    bench.limits = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    bench.named = [str(bench.folder)]


def _read_only(bench: Bench) -> None:
    place = bench.folder / bench.run.where
    _mount(bench, place, size=_ROOMY)
    _remount(place, "ro")
    bench.named = [str(place)]


def _no_permission(bench: Bench) -> None:
    place = bench.folder / bench.run.where
    place.mkdir()
    place.chmod(bench.run.amount)
    bench.mended.append(lambda: place.chmod(0o755))
    _as_nobody(bench)
    bench.named = [str(place)]


def _unreadable_input(bench: Bench) -> None:
    bench.catalog = bench.folder / bench.run.catalog
    shutil.copytree(bench.plan / bench.run.catalog, bench.catalog)
    if bench.run.where == "file":
        places = sorted(bench.catalog.rglob("Npix=*.parquet"))
    elif bench.run.where == "folder":
        places = [*sorted(bench.catalog.rglob("Norder=*")), *sorted(bench.catalog.rglob("Dir=*"))]
    else:
        names = ("hats.properties", "properties", "partition_info.csv")
        names += ("_common_metadata", "catalog_info.json")
        places = [file for name in names for file in sorted(bench.catalog.rglob(name))]
        if (bench.catalog / "hats.properties").exists():
            places.remove(bench.catalog / "properties")
    place = places[bench.run.amount % len(places)]
    mode = place.stat().st_mode
    place.chmod(0)
    bench.mended.append(lambda: place.chmod(mode & 0o777))
    _as_nobody(bench)
    bench.named = [str(place)]


def _as_nobody(bench: Bench) -> None:
    if os.geteuid() == 0:
        bench.prefix = _WITHOUT_OVERRIDE


def _no_folder(bench: Bench) -> None:
    place = bench.folder / bench.run.where
    if bench.run.amount == 0:
        place.write_text("no folder")
    elif bench.run.amount == 1:
        place.symlink_to(bench.folder / "nowhere")
    else:
        place.symlink_to(place)
    bench.mended.append(lambda: place.unlink(missing_ok=True))
    bench.named = [str(place)]


def _few_files(bench: Bench) -> None:
    limit = bench.run.amount
    bench.limits = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    bench.named = [str(bench.folder), str(bench.catalog)]


ARRANGEMENTS: dict[str, Callable[[Bench], None]] = {
    "full disk": _full_disk,
    "few inodes": _few_inodes,
    "earlier margin": _earlier_margin,
    "collection": _collection,
    "file size": _file_size,
    "read-only": _read_only,
    "no permission": _no_permission,
    "unreadable input": _unreadable_input,
    "no folder": _no_folder,
    "few files": _few_files,
}
