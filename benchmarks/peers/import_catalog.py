"""Import a catalog with hats-import from Parquet files; runs in the environment of hats-import.

Argument: those of hats-import's ImportArguments, as JSON
"""

import json
import sys

from hats_import.catalog.arguments import ImportArguments
from hats_import.catalog.file_readers import ParquetPyarrowReader
from hats_import.pipeline import pipeline


def main() -> None:
    arguments = json.loads(sys.argv[1])
    pipeline(ImportArguments(file_reader=ParquetPyarrowReader(), **arguments))


if __name__ == "__main__":
    main()
