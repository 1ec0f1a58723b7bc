"""Pictures of margins: one pixel with the rows of its margin, and the whole sky.

Needs the extra packages of ``pip install "skymargin[plot]"``.
"""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from skymargin.errors import ArgumentError, MissingExtraError, OutputExistsError
from skymargin.plot.partition import close_view, densest, draw_both, draw_on, whole_view
from skymargin.plot.scene import MarginCatalog, Scene, check_has_rows, open_margin
from skymargin.storage.paths import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from upath import UPath

    PathLike = str | os.PathLike[str] | UPath

__all__ = ["most_telling_pixel", "plot_partition", "plot_sky"]

ViewName = Literal["both", "whole", "close-up"]
_DOTS_PER_INCH = 110
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
) -> Figure:
    """Draw a pixel and its margin: the rows coloured by their separation, all true edges, the line at the threshold.

    The sky about the middle of the picture is laid flat so that distances and directions from there are true, at the
    poles as anywhere. East is to the left.

    Parameters
    ----------
    margin
        A HATS or HiPSCat margin catalog, of any tool.
    pixel
        Order and nested index of a partition, or of an empty pixel with a margin; default: `most_telling_pixel`.
    primary
        The catalog, or collection, that the margin is of; default: the one its properties name.
    view
        ``"whole"``: the pixel and all of its margin; ``"close-up"``: the place at its edge where most rows of the
        margin lie together; ``"both"``: side by side.
    axes
        Draw on these axes; only for one view.
    picture
        Write this PNG file. It has no other content when something fails.
    overwrite
        Replace a file of that name.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, that of `axes` when they are given.

    Raises
    ------
    MissingExtraError
        When matplotlib is not installed.
    ArgumentError
        When there is no such pixel (names those nearest), or an argument is not allowed.
    CatalogNotFoundError, CatalogError
        When there is no margin or no primary, or what is there is none.
    PartitionReadError
        When a file cannot be read.
    OutputExistsError
        When `picture` is there already.
    """
    require("matplotlib")
    if view not in get_args(ViewName):
        raise ArgumentError(f"view {view!r} is not allowed: allowed are {', '.join(get_args(ViewName))}")
    if axes is not None and view == "both":
        raise ArgumentError("view 'both' needs two axes: choose 'whole' or 'close-up' for the axes given")
    check_picture(picture, overwrite=overwrite)
    catalog = open_margin(margin, primary)
    scene = catalog.scene(_most_telling(catalog) if pixel is None else _order_and_index(pixel))
    if axes is not None:
        figure = axes.get_figure(root=True)
        if figure is None:
            raise ArgumentError("axes are in no figure: they cannot be drawn on")
    else:
        figure = _new_figure((13, 7.0) if view == "both" else (8, 7.2))
    if view == "both":
        draw_both(figure, scene)
    else:
        one = whole_view(scene) if view == "whole" else close_view(scene)
        draw_on(figure.subplots() if axes is None else axes, scene, one, legend_inside=axes is not None)
    _save(figure, picture)
    return figure


def plot_sky(
    margin: PathLike,
    *,
    primary: PathLike | None = None,
    picture: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Figure:
    """Draw the whole sky (Mollweide), every pixel coloured by the number of rows in its margin.

    Parameters
    ----------
    margin
        A HATS or HiPSCat margin catalog, of any tool.
    primary
        The catalog, or collection, that the margin is of; default: the one its properties name.
    picture
        Write this PNG file.
    overwrite
        Replace a file of that name.

    Returns
    -------
    matplotlib.figure.Figure
        The figure. Its axes have celestial coordinates (``WCSAxes``).

    Raises
    ------
    MissingExtraError
        When matplotlib or mocpy is not installed.
    ArgumentError
        When an argument is not allowed.
    CatalogNotFoundError, CatalogError
        When there is no margin or no primary, or what is there is none.
    PartitionReadError
        When a file cannot be read.
    OutputExistsError
        When `picture` is there already.
    """
    require("matplotlib", "mocpy")
    from skymargin.plot.sky import draw_sky

    check_picture(picture, overwrite=overwrite)
    catalog = open_margin(margin, primary)
    figure = _new_figure((11, 6))
    draw_sky(figure, catalog)
    _save(figure, picture)
    return figure


def most_telling_pixel(margin: PathLike, *, primary: PathLike | None = None) -> tuple[int, int]:
    """Return order and pixel of the partition that makes the best picture.

    That is the one whose close-up shows rows of all kinds (its own, its margin's, and such that are too far away),
    then the one with most margin rows close together, then the one with most margin rows. Of a catalog with very many
    margins the largest ones are looked at.

    Parameters
    ----------
    margin
        A HATS or HiPSCat margin catalog, of any tool.
    primary
        The catalog, or collection, that the margin is of; default: the one its properties name.

    Raises
    ------
    CatalogNotFoundError, CatalogError
        When there is no margin or no primary, or no margin has rows.
    PartitionReadError
        When a file cannot be read.
    """
    return _most_telling(open_margin(margin, primary))


def require(*libraries: str) -> None:
    """Refuse to draw without the libraries for it.

    Raises
    ------
    MissingExtraError
        Which names the extra.
    """
    from importlib.util import find_spec

    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        raise MissingExtraError(
            f"drawing needs {' and '.join(missing)}: pip install 'skymargin[plot]'",
        )


def check_picture(picture: str | os.PathLike[str] | None, *, overwrite: bool) -> None:
    """Refuse, before any work, a file that could not be written.

    Raises
    ------
    ArgumentError
        When its name does not end in .png, or its folder is not there.
    OutputExistsError
        When it exists and is not to be replaced.
    """
    if picture is None:
        return
    path = Path(picture)
    if path.suffix.lower() != ".png":
        raise ArgumentError(f"the picture {path} is not allowed: its name must end in .png")
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
            f"pixel {pixel!r} is not allowed: it is a pair of whole numbers, order and nested index"
        ) from None


def _most_telling(catalog: MarginCatalog) -> tuple[int, int]:
    check_has_rows(catalog)
    interest = {}
    for pixel in catalog.largest_margins(_CANDIDATES):
        rows = catalog.margin_rows(pixel)
        if pixel in catalog.primary.files and len(rows):
            interest[pixel] = (len(densest(rows, catalog.threshold_arcsec)), len(rows), pixel)
    if not interest:
        return catalog.largest_margins(1)[0]

    def kinds(pixel: tuple[int, int]) -> int:
        scene: Scene = catalog.scene(pixel)
        view = close_view(scene)
        return sum(bool(view.sees(rows).any()) for rows in (scene.own, scene.others))

    finalists = sorted(interest, key=interest.__getitem__, reverse=True)[:_FINALISTS]
    return max(finalists, key=lambda pixel: (kinds(pixel), interest[pixel]))


def _new_figure(size_inches: tuple[float, float]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size_inches, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, picture: str | os.PathLike[str] | None) -> None:
    if picture is None:
        return
    with atomic_write(Path(picture)) as aside:
        figure.savefig(aside, dpi=_DOTS_PER_INCH, format="png")
