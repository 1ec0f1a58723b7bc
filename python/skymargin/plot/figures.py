"""The functions that draw: one pixel with the rows of its margin, or the whole sky."""

from __future__ import annotations

import logging
import operator
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from skymargin.errors import (
    ArgumentError,
    MissingExtraError,
    OutputExistsError,
    PartitionReadError,
    StorageError,
)
from skymargin.plot.partition import close_view, densest, draw_both, draw_on, has_close_up, whole_view
from skymargin.plot.scene import MarginCatalog, Scene, check_has_rows, open_margin
from skymargin.storage.paths import atomic_write, expanded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from upath import UPath

    from skymargin.catalogs.leaf_paths import PathGenerator

    PathLike = str | os.PathLike[str] | UPath

__all__ = ["most_telling_pixel", "plot_partition", "plot_sky"]

_log = logging.getLogger("skymargin")

ViewName = Literal["both", "whole", "close-up"]
# What pictures may end in, and what keeps their bytes the same from run to run.
_FORMATS: dict[str, dict[str, None]] = {".png": {}, ".pdf": {"CreationDate": None}, ".svg": {"Date": None}}
_CANDIDATES = 500
_FINALISTS = 12


def plot_partition(
    margin: PathLike,
    pixel: tuple[int, int] | None = None,
    *,
    primary: PathLike | None = None,
    view: ViewName = "both",
    axes: Axes | None = None,
    picture: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    path_generator: PathGenerator | None = None,
    primary_storage_options: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw a pixel and its margin: rows coloured by separation, the true edges, and the line at the threshold.

    Partitions whose files cannot be read are drawn without their rows: the picture says so, and a warning is logged.

    The picture is an azimuthal equidistant projection: distances and directions from its centre are true, at the poles
    as anywhere. East is to the left.

    Parameters
    ----------
    margin
        A HATS or HiPSCat margin catalog, made by any tool.
    pixel
        Order and nested index of a partition, or of an empty pixel with a margin; default: `most_telling_pixel`.
    primary
        Its primary catalog, or the collection of that; default: the one its properties name.
    view
        ``"whole"``: the pixel and its whole margin; ``"close-up"``: the part of its edge where most rows of the margin
        lie together; ``"both"``: side by side, or only the whole where its margin is so wide that a close-up would show
        the same.
    axes
        Draw on these axes; for one view only.
    picture
        Write this file, whose name ends in .png, .pdf or .svg; it appears only when it is complete.
    overwrite
        Replace a file of that name.
    path_generator
        Where the partitions of the primary lie, if not where its format has them: a template or a function, as for
        `MarginCacheArguments`.
    primary_storage_options
        Options of the file system of the primary, as fsspec takes them; of a local primary, those of the files that
        `path_generator` names.

    Returns
    -------
    matplotlib.figure.Figure
        The figure: that of `axes`, when given.

    Raises
    ------
    MissingExtraError
        When matplotlib is not installed.
    ArgumentError
        When there is no such pixel (names the nearest ones), or an argument is not allowed.
    CatalogNotFoundError, CatalogError
        When the margin or its primary does not exist, or cannot be used.
    PartitionReadError
        When the margin of the pixel cannot be read.
    OutputExistsError
        When `picture` exists.
    StorageError
        When `picture` cannot be written.
    """
    require("matplotlib")
    if view not in get_args(ViewName):
        raise ArgumentError(f"view {view!r} is not allowed: allowed are {', '.join(get_args(ViewName))}")
    if axes is not None and view == "both":
        raise ArgumentError("view 'both' needs two axes: choose 'whole' or 'close-up' for the axes given")
    check_picture(picture, overwrite=overwrite)
    catalog = open_margin(margin, primary, path_generator, primary_storage_options)
    scene = catalog.scene(_most_telling(catalog) if pixel is None else _order_and_index(pixel))
    if view == "both" and not has_close_up(scene):
        view = "whole"
    for reason in scene.unreadable.values():
        _log.warning("not drawn: %s", reason)
    if axes is not None:
        figure = axes.get_figure(root=True)
        if figure is None:
            raise ArgumentError("axes cannot be drawn on: they belong to no figure")
    else:
        figure = _new_figure(*(13, 7.0) if view == "both" else (8, 7.2))
    if view == "both":
        draw_both(figure, scene)
    else:
        square = whole_view(scene) if view == "whole" else close_view(scene)
        panel = figure.subplots() if axes is None else axes
        draw_on(panel, scene, square, is_close=view == "close-up", legend_inside=axes is not None)
    _save(figure, picture)
    return figure


def plot_sky(
    margin: PathLike,
    *,
    primary: PathLike | None = None,
    picture: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    path_generator: PathGenerator | None = None,
    primary_storage_options: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw the whole sky (Mollweide), each pixel coloured by the number of rows in its margin.

    Pixels whose margin cannot be read are pink, and a warning is logged.

    Parameters
    ----------
    margin, primary, picture, overwrite, path_generator, primary_storage_options
        As for `plot_partition`.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. Its axes have celestial coordinates (``WCSAxes``).

    Raises
    ------
    MissingExtraError
        When matplotlib or mocpy is not installed.
    ArgumentError, CatalogNotFoundError, CatalogError, OutputExistsError, StorageError
        As `plot_partition`.
    """
    require("matplotlib", "mocpy")
    from skymargin.plot.sky import draw_sky

    check_picture(picture, overwrite=overwrite)
    catalog = open_margin(margin, primary, path_generator, primary_storage_options)
    figure = _new_figure(11, 6)
    draw_sky(figure, catalog)
    _save(figure, picture)
    return figure


def most_telling_pixel(
    margin: PathLike,
    *,
    primary: PathLike | None = None,
    path_generator: PathGenerator | None = None,
    primary_storage_options: Mapping[str, Any] | None = None,
) -> tuple[int, int]:
    """Return order and pixel of the partition that makes the best picture.

    Preferred are partitions whose close-up shows rows of all kinds (its own, those of its margin, and those too far
    away), then those with most margin rows close together, then those with most margin rows. In a catalog with very
    many margins only the largest are compared.

    Parameters
    ----------
    margin, primary, path_generator, primary_storage_options
        As for `plot_partition`.

    Raises
    ------
    CatalogNotFoundError, CatalogError
        When the margin or its primary does not exist, or no margin has rows.
    PartitionReadError
        When none of these margins can be read.
    """
    return _most_telling(open_margin(margin, primary, path_generator, primary_storage_options))


def require(*libraries: str) -> None:
    """Raise `MissingExtraError`, which says what to install, when a library is not installed."""
    from importlib.util import find_spec

    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        raise MissingExtraError(f"drawing needs {' and '.join(missing)}: pip install {' '.join(missing)}")


def check_picture(picture: str | os.PathLike[str] | None, *, overwrite: bool) -> None:
    """Check, before any work, that a picture can be written.

    Raises
    ------
    ArgumentError
        When its name does not end in .png, .pdf or .svg, or its folder does not exist.
    OutputExistsError
        When it exists and must not be replaced.
    """
    if picture is None:
        return
    path = Path(expanded(picture, "picture"))
    if path.suffix.lower() not in _FORMATS:
        raise ArgumentError(f"the picture {path} is not allowed: its name must end in .png, .pdf or .svg")
    if not path.parent.is_dir():
        raise ArgumentError(f"the picture {path} is not allowed: there is no folder {path.parent}")
    if path.is_dir() or (path.exists() and not overwrite):
        raise OutputExistsError(f"{path} exists: choose another name, or replace it with overwrite=True")


def _order_and_index(pixel: tuple[int, int]) -> tuple[int, int]:
    try:
        order, index = pixel
        return operator.index(order), operator.index(index)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"pixel {pixel!r} is not allowed: it must be a pair of whole numbers, order and nested index"
        ) from None


def _most_telling(catalog: MarginCatalog) -> tuple[int, int]:
    check_has_rows(catalog)
    interest = {}
    readable = []
    for pixel in catalog.largest_margins(_CANDIDATES):
        try:
            rows = catalog.margin_rows(pixel)
        except PartitionReadError as error:
            _log.warning("not drawn: %s", error)
            last = error
            continue
        readable.append(pixel)
        if pixel in catalog.primary.files and len(rows):
            interest[pixel] = (len(densest(rows, catalog.threshold_arcsec)), len(rows), pixel)
    if not readable:
        raise last
    if not interest:
        return readable[0]

    def kinds(pixel: tuple[int, int]) -> int:
        scene: Scene = catalog.scene(pixel)
        view = close_view(scene)
        return sum(bool(view.sees(rows).any()) for rows in (scene.own, scene.others))

    finalists = sorted(interest, key=interest.__getitem__, reverse=True)[:_FINALISTS]
    return max(finalists, key=lambda pixel: (kinds(pixel), interest[pixel]))


def _new_figure(width_inches: float, height_inches: float) -> Figure:
    # This imports matplotlib.
    from skymargin.plot.shown_figure import ShownFigure

    return ShownFigure(width_inches, height_inches)


def _save(figure: Figure, picture: str | os.PathLike[str] | None) -> None:
    if picture is None:
        return
    import matplotlib as mpl

    from skymargin.plot.shown_figure import DOTS_PER_INCH

    path = Path(expanded(picture))
    suffix = path.suffix.lower()
    # Without a salt, the names in an SVG are random.
    try:
        with atomic_write(path) as temporary, mpl.rc_context({"svg.hashsalt": "skymargin"}):
            figure.savefig(temporary, dpi=DOTS_PER_INCH, format=suffix[1:], metadata=_FORMATS[suffix])
    except OSError as error:
        # That of a full disk names no file.
        raise StorageError(f"the picture {path} cannot be written: {error}") from error
