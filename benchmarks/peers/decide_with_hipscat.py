"""Hold the precise check of the hipscat library to decisions of the conformance set; runs in its environment.

Arguments: DECISIONS.csv
Prints JSON: how many were decided as the table says, how many otherwise, how many ended in an error.
"""

import csv
import json
import sys
import warnings
from collections import Counter

import numpy as np
from hipscat.pixel_math import check_margin_bounds


def main() -> None:
    # It takes the arccos of products above 1.
    warnings.simplefilter("ignore")
    counts = Counter()
    with open(sys.argv[1], newline="", encoding="utf-8") as file:
        for record in csv.DictReader(file):
            position = (np.array([float(record[name])]) for name in ("ra_deg", "dec_deg"))
            pixel = (int(record["order"]), int(record["pixel"]))
            try:
                [within] = check_margin_bounds(*position, *pixel, float(record["threshold_arcsec"]))
            except ZeroDivisionError:
                counts["error"] += 1
            else:
                counts["same" if bool(within) == (record["within"] == "true") else "otherwise"] += 1
    print(json.dumps(counts))


if __name__ == "__main__":
    main()
