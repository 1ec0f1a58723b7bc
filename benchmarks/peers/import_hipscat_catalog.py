"""Make a HiPSCat catalog of a Parquet file with hipscat-import; runs in the environment of hipscat-import.

Arguments: FILE OUTPUT NAME ROWS_PER_PARTITION TMP
"""

import sys

from hipscat_import.catalog.arguments import ImportArguments
from hipscat_import.pipeline import pipeline


def main() -> None:
    file, output, name, rows_per_partition, tmp = sys.argv[1:]
    pipeline(
        ImportArguments(
            input_file_list=[file],
            file_reader="parquet",
            output_path=output,
            output_artifact_name=name,
            ra_column="ra",
            dec_column="dec",
            highest_healpix_order=6,
            pixel_threshold=int(rows_per_partition),
            tmp_dir=tmp,
            dask_tmp=tmp,
            progress_bar=False,
        )
    )


if __name__ == "__main__":
    main()
