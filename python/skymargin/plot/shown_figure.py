"""A figure that notebooks show. It imports matplotlib: imported itself when a picture is drawn."""

from __future__ import annotations

import io

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DOTS_PER_INCH = 110


class ShownFigure(Figure):
    """A figure that notebooks show, whether or not pyplot was imported, which would show it as well."""

    def __init__(self, width_inches: float, height_inches: float) -> None:
        super().__init__(figsize=(width_inches, height_inches), layout="constrained")
        FigureCanvasAgg(self)

    def _repr_png_(self) -> bytes:
        # Notebooks look for this name.
        picture = io.BytesIO()
        self.savefig(picture, format="png", dpi=DOTS_PER_INCH)
        return picture.getvalue()
