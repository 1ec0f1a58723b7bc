"""Pictures of margins: one partition with the rows of its margin, and the whole sky.

Needs the extra packages of ``pip install "skymargin[plot]"``; they are imported when a picture is drawn.
"""

from skymargin.plot.figures import most_telling_pixel, plot_partition, plot_sky

__all__ = ["most_telling_pixel", "plot_partition", "plot_sky"]
