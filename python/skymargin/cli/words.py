"""Messages in the words of the command line: where Python has arguments, it has options."""

from __future__ import annotations

import re

# Arguments of the package, and what they are here.
_OPTIONS = {
    "input_catalog_path": "CATALOG",
    "output_path": "--output",
    "output_artifact_name": "--name",
    "input_storage_options": "--storage-option",
    "output_storage_options": "--output-storage-option",
    "primary_storage_options": "--storage-option",
    "path_generator": "--path-template",
    "margin_threshold": "--threshold",
    "margin_order": "--margin-order",
    "check_index": "--check-index",
    "debug_filter_pixel_list": "--pixel",
    "npix_suffix": "--npix-suffix",
    "write_table_kwargs['compression']": "--compression",
    "write_table_kwargs": "--compression",
    "row_group_kwargs['num_rows']": "--row-group-rows",
    "row_group_kwargs": "--row-group-rows",
    "addl_hats_properties": "--property",
    "create_thumbnail": "--with thumbnail",
    "create_per_partition_stats": "--with statistics",
    "create_partition_info_png": "--with picture",
    "create_summary_html": "--with html",
    "create_summary_md": "--with markdown",
    "tmp_dir": "--tmp-dir",
    "dask_tmp": "--dask-tmp",
    "resume_tmp": "--resume-tmp",
    "dask_n_workers": "--workers",
    "dask_threads_per_worker": "--threads",
    "dask_wait_seconds": "--dask-wait-seconds",
    "memory_limit": "--memory-limit",
    "completion_email_address": "--email",
    "only_changed": "--only-changed",
    "add_to_collection": "--add-to-collection",
    "default_margin": "--default-margin",
    "keep_files": "--keep-files",
}
# Words of plain English, which are arguments only where a value follows, and values for which there is an option.
_SWITCHES = {
    "overwrite=True": "--overwrite",
    "resume=False": "--no-resume",
    "fine_filtering=False": "--coarse",
    "create_metadata=False": "--no-metadata",
}
# Words of plain English that are an argument at the beginning of a message.
_FIRST = re.compile(r"^(cone|sample|seed|collection)\b")
# The same words with a value after them.
_VALUED = re.compile(r"(?<![\w/.'\"\\-])(cone|sample|seed|collection)=('[^']*'|[\w./-]+)")
_CONE = re.compile(
    r"^cone is \(ra_deg, dec_deg, radius_deg\)(.*?)(?:; not \((-?[\w.+-]+), (-?[\w.+-]+), ([\w.+-]+)\))?$"
)
# A name in a path or in quotation marks is none of an argument.
_ARGUMENT = re.compile(
    r"(?<![\w/.'\"\\-])("
    + "|".join(re.escape(name) for name in sorted([*_SWITCHES, *_OPTIONS], key=len, reverse=True))
    + r")(=True)?(?![\w/.'\"\\-]*[\w/\\])"
)
_COMPRESSION = re.compile(r"\bwrite_table_kwargs \{'compression': '([^']*)'\}")
_NUMBERED = re.compile(r"\bargs\[\d+\] \(([^)]*)\)")
_CREDENTIALS = "give them in the storage options, which for a public bucket are {'anon': True}"


def in_words_of_options(message: str) -> str:
    """A message of the package with the options of the command line in place of arguments of Python."""
    message = message.replace(_CREDENTIALS, "give them with --storage-option, or --anon for a public bucket")
    message = message.replace("the same call goes on", "the same command goes on")
    message = _NUMBERED.sub(r"\1", message)
    message = _COMPRESSION.sub(r"--compression \1", message)
    message = _CONE.sub(_in_words_of_cone, message)
    message = _VALUED.sub(r"--\1 \2", message)
    message = _FIRST.sub(r"--\1", message)
    return _ARGUMENT.sub(lambda match: (_SWITCHES | _OPTIONS)[match[1]], message)


def _in_words_of_cone(match: re.Match[str]) -> str:
    given = f"; not {','.join(match.groups()[1:])}" if match[2] else ""
    return f"--cone is RA,DEC,RADIUS{match[1]}{given}"
