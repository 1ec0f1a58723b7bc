"""What may be at the place of a margin: what `overwrite` keeps, and what it replaces."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from skymargin.catalogs.layout import RECORD
from tests.support.catalogs import make_margin, sky_near_edges, write_catalog
from tests.support.hipscat_catalogs import write_hipscat_catalog

THRESHOLD_ARCSEC = 30.0
# Two neighbours.
PARTITIONS = ((4, 100), (4, 101))


def make_examples(folder: Path) -> Path:
    """Fill a folder with a HATS and a HiPSCat catalog and a margin of each."""
    sky = sky_near_edges(PARTITIONS, rows=150, reach_arcsec=THRESHOLD_ARCSEC, seed=4)
    write_catalog(folder / "stars", sky)
    write_hipscat_catalog(folder / "hipscat_stars", sky)
    make_margin(folder / "stars", folder, THRESHOLD_ARCSEC, "margin")
    make_margin(folder / "hipscat_stars", folder, THRESHOLD_ARCSEC, "hipscat_margin")
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder with its bytes, and the links in it with what they name."""
    return {
        str(path.relative_to(folder)): str(path.readlink()).encode()
        if path.is_symlink()
        else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"my {name}")


def a_margin_with(*names: str) -> Callable[[Path, Path], None]:
    def arrange(made: Path, project: Path) -> None:
        shutil.copytree(made / "margin", project)
        write(project, *names)

    return arrange


def a_folder_with(*names: str) -> Callable[[Path, Path], None]:
    return lambda _made, project: write(project, *names)


def a_copy_of(name: str, *without: str) -> Callable[[Path, Path], None]:
    def arrange(made: Path, project: Path) -> None:
        shutil.copytree(made / name, project)
        for each in without:
            (project / each).unlink()

    return arrange


def a_catalog_that_says(text: str) -> Callable[[Path, Path], None]:
    def arrange(made: Path, project: Path) -> None:
        shutil.copytree(made / "margin", project)
        (project / "properties").write_text(text)

    return arrange


def a_collection(made: Path, project: Path) -> None:
    shutil.copytree(made / "stars", project / "stars")
    (project / "collection.properties").write_text("obs_collection=sky\nhats_primary_table_url=stars\n")


def a_link_to_a_primary(made: Path, project: Path) -> None:
    shutil.copytree(made / "stars", project.parent.parent / "precious")
    project.symlink_to(project.parent.parent / "precious")


def a_margin_with_data_elsewhere(made: Path, project: Path) -> None:
    shutil.copytree(made / "margin", project)
    (project / "dataset").rename(project.parent / "data")
    (project / "dataset").symlink_to(project.parent / "data")


KEPT: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "folder with dataset": (
        a_folder_with("dataset/notes.txt", "thesis.tex"),
        "is a folder that is no margin: .* holds dataset/notes.txt, thesis.tex",
    ),
    "folder with partition_info.csv": (
        a_folder_with("partition_info.csv", "thesis.tex"),
        "is a folder that is no margin: .*thesis.tex",
    ),
    "folder with Norder": (a_folder_with("Norder=4/photo.jpg"), "is a folder that is no margin: .*photo.jpg"),
    "folder with many files": (
        a_folder_with(*(f"{number}.txt" for number in range(9))),
        r"holds 0\.txt, 1\.txt, 2\.txt and 6 more\.",
    ),
    "file": (lambda _made, project: project.write_text("a thesis"), "is a file"),
    "primary catalog": (a_copy_of("stars"), r"is a primary catalog \(dataproduct_type=object\)"),
    "HiPSCat primary catalog": (
        a_copy_of("hipscat_stars"),
        r"is a primary catalog \(catalog_type=object\)",
    ),
    "link to a primary catalog": (a_link_to_a_primary, r"is a primary catalog \(dataproduct_type=object\)"),
    "collection": (a_collection, "is a collection"),
    "index catalog": (
        a_catalog_that_says("dataproduct_type=index\n"),
        "is a catalog that is no margin: properties has dataproduct_type=index",
    ),
    "catalog of no kind": (a_catalog_that_says("a=b\n"), "properties has dataproduct_type=nothing"),
    "properties of two minds": (a_catalog_that_says("dataproduct_type=source\n"), "is a primary catalog"),
    "margin with a thesis": (
        a_margin_with("thesis.tex"),
        "is a margin catalog that also holds thesis.tex",
    ),
    "margin with notes among its data": (
        a_margin_with("dataset/notes.txt", "dataset/Norder=4/Dir=0/Npix=100.txt"),
        "also holds dataset/Norder=4/Dir=0/Npix=100.txt, dataset/notes.txt",
    ),
    "margin with files of the desktop": (a_margin_with(".DS_Store"), "also holds .DS_Store"),
    "margin with a catalog in it": (
        a_margin_with("inside/hats.properties", "inside/dataset/_metadata"),
        "also holds inside/dataset/_metadata, inside/hats.properties",
    ),
    "margin with its data elsewhere": (a_margin_with_data_elsewhere, "also holds dataset"),
    "margin of a collection's properties": (a_margin_with("collection.properties"), "is a collection"),
    # An interrupted run of hats-import leaves these.
    "margin without properties": (
        a_copy_of("margin", "hats.properties", "properties", RECORD),
        "is a folder that is no margin: it has no catalog_info.json, properties or hats.properties",
    ),
    "margin of hats-import in the making": (
        a_folder_with("dataset/Norder=4/Dir=0/Npix=100.parquet", "intermediate/mapping/0_4_100_done"),
        "is a folder that is no margin",
    ),
    "interrupted margin with a thesis": (
        lambda made, project: (
            a_copy_of("margin", "hats.properties", "properties")(made, project),
            write(project, "thesis.tex"),
        )[0],
        "is a folder that is no margin: .*thesis.tex",
    ),
}
