"""Bring the margin of a catalog up to date."""

from skymargin import MarginCacheArguments, pipeline
from skymargin.errors import ArgumentError

MARGIN = {
    "input_catalog_path": "survey",
    "output_path": "margins",
    "output_artifact_name": "survey_10arcs",
    "margin_threshold": 10.0,
}

if __name__ == "__main__":
    try:
        pipeline(MarginCacheArguments(**MARGIN, only_changed=True))
    except ArgumentError as reason:
        # There is no margin yet, or one that was made in another way, or by another version.
        print(f"{reason}\nA full run:")
        pipeline(MarginCacheArguments(**MARGIN, overwrite=True))
