"""Margins made by skymargin in place of those in the test data of another package."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

from skymargin import MarginCacheArguments, pipeline
from skymargin.catalogs.properties import read_properties
from skymargin.errors import ThresholdWarning


def replace_margins(data: Path, *, coarse: bool) -> list[str]:
    """Build each margin catalog below a folder again, with the same name and threshold, and put it in its place.

    Parameters
    ----------
    data
        The folder, relative to which the properties of margins name their primary catalogs.
    coarse
        Whether they get the rows of hats-import.

    Returns
    -------
    list of str
        The paths of the margins below the folder.
    """
    replaced = []
    for file in sorted(data.rglob("hats.properties")):
        properties = read_properties(file)
        if properties.get("dataproduct_type") != "margin":
            continue
        margin = file.parent
        aside = margin.with_name(f"{margin.name}-aside")
        with warnings.catch_warnings():
            # Some are wider than a degree.
            warnings.simplefilter("ignore", ThresholdWarning)
            args = MarginCacheArguments(
                input_catalog_path=data / properties["hats_primary_table_url"],
                output_path=aside,
                output_artifact_name=margin.name,
                margin_threshold=float(properties["hats_margin_threshold"]),
                npix_suffix=properties["hats_npix_suffix"],
                fine_filtering=not coarse,
                progress_bar=False,
            )
        pipeline(args)
        shutil.rmtree(margin)
        (aside / margin.name).rename(margin)
        aside.rmdir()
        replaced.append(margin.relative_to(data).as_posix())
    return replaced
