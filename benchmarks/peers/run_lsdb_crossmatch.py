"""Crossmatch two catalogs with LSDB and write the pairs of identifiers; runs in the environment of LSDB.

Arguments: LEFT RIGHT MARGIN-or-none RADIUS_ARCSEC NEIGHBOURS PAIRS.parquet TMP
"""

import sys
import warnings

import lsdb
from dask.distributed import Client


def main() -> None:
    left_path, right_path, margin_path, radius, neighbours, pairs_path, tmp = sys.argv[1:]
    left = lsdb.open_catalog(left_path, columns=["source_id", "ra", "dec"])
    right = lsdb.open_catalog(
        right_path,
        columns=["source_id", "ra", "dec"],
        margin_cache=None if margin_path == "none" else margin_path,
    )
    with warnings.catch_warnings():
        # LSDB warns where the right catalog has no margin, which one of the tests does on purpose.
        warnings.filterwarnings("ignore", message=".*margin.*")
        matched = left.crossmatch(
            right,
            n_neighbors=int(neighbours),
            radius_arcsec=float(radius),
            suffixes=("_left", "_right"),
            suffix_method="all_columns",
        )
    with Client(n_workers=1, threads_per_worker=2, local_directory=tmp, dashboard_address=None):
        frame = matched.compute()
    frame[["source_id_left", "source_id_right"]].to_parquet(pairs_path)


if __name__ == "__main__":
    main()
