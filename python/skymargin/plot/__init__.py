"""Pictures of margins: one partition with the rows of its margin, and the whole sky.

Its modules: `figures` (the functions that draw), `scene` (data to draw), `view` (viewport), `projection`, `partition`
and `sky` (the two kinds of picture). They need the extra ``plot``, imported when a picture is drawn.
"""

from skymargin.plot.figures import most_telling_pixel, plot_partition, plot_sky

__all__ = ["most_telling_pixel", "plot_partition", "plot_sky"]


def __dir__() -> list[str]:
    # Without the modules: they are not for users.
    return __all__
