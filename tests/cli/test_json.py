"""What all commands print with `--json`, against the schema that the documentation has."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from skymargin import CatalogInfo, MarginPlan, MarginReport, VerifyReport
from skymargin.audit.report import Fault, PixelCounts
from skymargin.cli.main import main
from tests.support.catalogs import files_of, make_margin

SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs" / "reference" / "json-output.schema.json").read_text()
)
TYPES = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
    "null": type(None),
}  # fmt: skip
KNOWN = {
    "$ref", "additionalProperties", "const", "description", "enum", "exclusiveMinimum", "items", "minimum", "oneOf",
    "properties", "required", "type",
}  # fmt: skip


def faults(value: Any, schema: dict[str, Any], place: str = "$") -> list[str]:
    """What is wrong with a value; of JSON schema, all that the schema of the documentation uses."""
    if "$ref" in schema:
        return faults(value, SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], place)
    if "oneOf" in schema:
        each = [faults(value, one, place) for one in schema["oneOf"]]
        right = sum(not wrong for wrong in each)
        return [] if right == 1 else [f"{place}: {right} forms match", *min(each, key=len)]
    assert set(schema) <= KNOWN, schema
    wrong = []
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = [
        isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))
        for kind in kinds
    ]
    if kinds and not any(fits):
        wrong.append(f"{place} is {value!r}, not {kinds}")
    if "enum" in schema and value not in schema["enum"]:
        wrong.append(f"{place} is {value!r}")
    if "const" in schema and value != schema["const"]:
        wrong.append(f"{place} is {value!r}, not {schema['const']!r}")
    if is_number and not (
        value >= schema.get("minimum", value) and value > schema.get("exclusiveMinimum", value - 1)
    ):
        wrong.append(f"{place} is {value!r}")
    if isinstance(value, dict):
        wrong += [f"{place}.{name} is missing" for name in schema.get("required", ()) if name not in value]
        others = schema.get("additionalProperties", {})
        for name, inner in value.items():
            own = schema.get("properties", {}).get(name, others)
            wrong += [f"{place}.{name} is unknown"] if own is False else faults(inner, own, f"{place}.{name}")
    if isinstance(value, list):
        for number, inner in enumerate(value):
            wrong += faults(inner, schema.get("items", {}), f"{place}[{number}]")
    return wrong


def told(capsys: pytest.CaptureFixture[str], *command: object, code: int = 0) -> dict[str, Any]:
    assert main([*map(str, command), "--json"]) == code
    output: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert faults(output, {"oneOf": SCHEMA["oneOf"]}) == []
    return output


def test_every_command_keeps_to_the_schema(
    small_catalog: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = ["build", small_catalog, "-o", tmp_path, "-t", "3600"]
    assert told(capsys, *build, "--dry-run")["type"] == "plan"
    one = told(capsys, *build)
    two = told(capsys, "build", small_catalog, "-o", tmp_path, "-t", "5", "-t", "0.0001")
    assert [len(output["reports"]) for output in (one, two)] == [1, 2]
    margin = tmp_path / "small_3600arcs"
    assert told(capsys, "verify", margin)["reports"][0]["right"]
    for file in sorted(files_of(margin).values())[:2]:
        pq.write_table(pq.ParquetFile(file).read().slice(1), file)
    wrong = told(capsys, "verify", margin, "--sample", "50", code=1)
    assert wrong["reports"][0]["faults"]
    (tmp_path / "sky").mkdir()
    (tmp_path / "sky" / "collection.properties").write_text(
        f"obs_collection=sky\nhats_primary_table_url={small_catalog}\nall_margins=a b\ndefault_margin=a\n"
    )
    summaries = told(capsys, "info", small_catalog, tmp_path)
    assert [report["kind"] for report in summaries["reports"]] == [
        "object", "collection", "margin", "margin", "margin"
    ]  # fmt: skip


def test_a_hipscat_margin_keeps_to_the_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "catalog_info.json").write_text(json.dumps({"catalog_name": "sky", "catalog_type": "object"}))
    assert told(capsys, "info", tmp_path)["reports"][0]["format"] == "HiPSCat"


@pytest.mark.parametrize(
    ("name", "kind", "more"),
    [
        ("build", MarginReport, set()),
        ("plan", MarginPlan, set()),
        ("verify", VerifyReport, {"right"}),
        ("info", CatalogInfo, set()),
    ],
)
def test_the_schema_has_every_field(name: str, kind: type, more: set[str]) -> None:
    properties = SCHEMA["$defs"][name]["properties"]
    assert set(properties) == {field.name for field in fields(kind)} | more
    if name == "verify":
        for inner, of in (("per_pixel", PixelCounts), ("faults", Fault)):
            assert set(properties[inner]["items"]["properties"]) == {field.name for field in fields(of)}


def test_a_name_has_one_type_in_all_reports() -> None:
    types: dict[str, set[str]] = {}
    for report in SCHEMA["$defs"].values():
        for name, schema in report["properties"].items():
            kinds = schema.get("type", "string")
            kinds = {kinds} if isinstance(kinds, str) else set(kinds)
            types[name] = types.get(name, set()) | (kinds - {"null"})
    assert len(types) > 40
    assert {name: kinds for name, kinds in types.items() if len(kinds) > 1} == {}


def test_faults_are_found(small_catalog: Path, tmp_path: Path) -> None:
    report = make_margin(small_catalog, tmp_path, 3600.0).to_dict()
    schema = SCHEMA["$defs"]["build"]
    assert faults(report, schema) == []
    assert faults(report | {"rows": "7"}, schema) == ["$.rows is '7', not ['integer']"]
    assert faults(report | {"rows": True}, schema) == ["$.rows is True, not ['integer']"]
    assert faults(report | {"margin_threshold_arcsec": 0}, schema) == ["$.margin_threshold_arcsec is 0"]
    assert faults(report | {"x": 1}, schema) == ["$.x is unknown"]
    assert faults({**report, "seconds": {"mapping": None}}, schema) == [
        "$.seconds.mapping is None, not ['number']"
    ]
    del report["rows"]
    assert faults(report, schema) == ["$.rows is missing"]
