"""The registry and the models against ServiceTitan's OpenAPI files.

The API ignores a parameter it does not know, and a field that does not exist reads as NULL for
ever: neither fails by itself, so both are compared with the specification here.
"""

import json
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from st_kpi.columns import Column, ColumnType
from st_kpi.servicetitan.models.base import Nested
from st_kpi.servicetitan.query import Created, Modified, export_query, list_query
from st_kpi.servicetitan.registry import REGISTRY, Entity, History
from st_kpi.servicetitan.schema import columns, known_fields, lines

OPENAPI = Path(__file__).resolve().parents[3] / "shared" / "openapi"

pytestmark = pytest.mark.skipif(
    not OPENAPI.is_dir(), reason=f"the OpenAPI files are not at {OPENAPI}: nothing to compare with"
)

entities = pytest.mark.parametrize("entity", REGISTRY.values(), ids=REGISTRY)

#: Money and quantities that the specification sends as strings and the models read as numbers.
NUMBERS_IN_STRINGS = {
    "invoices": {"subTotal", "salesTax", "total", "balance", "discountTotal"},
    "invoices.items": {"quantity", "cost", "totalCost", "price", "total", "memberPrice"},
    "payments": {"total", "unappliedAmount"},
    "payments.appliedTo": {"appliedAmount"},
    "inventory_bills": {"billAmount", "taxAmount", "shippingAmount"},
}

#: Column types that hold every value of a specified (type, format).
HOLDS = {
    ("integer", "int64"): {ColumnType.INT64},
    ("integer", "int32"): {ColumnType.INT64},
    ("number", "decimal"): {ColumnType.NUMERIC},
    ("number", "double"): {ColumnType.FLOAT64},
    ("boolean", None): {ColumnType.BOOL},
    ("string", "date-time"): {ColumnType.TIMESTAMP},
    ("string", "date"): {ColumnType.DATE},
    ("string", None): {ColumnType.STRING},
    ("array", None): {ColumnType.JSON},
    ("object", None): {ColumnType.JSON},
}

#: Formats of strings that say how to show them, not what they hold.
PLAIN_TEXT = {"duration", "email", "html", "multiline", "phone"}

#: Sort fields that clients report to work where the specification gives no list.
USUAL_SORT_FIELDS = ["Id", "ModifiedOn", "CreatedOn"]

START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)


class Spec:
    """One OpenAPI file, with references followed."""

    def __init__(self, name: str) -> None:
        self.document = json.loads((OPENAPI / f"{name}.json").read_text())

    def operation(self, path: str) -> Any:
        address = f"/tenant/{{tenant}}/{path}"
        assert address in self.document["paths"], f"there is no {address}"
        return self.document["paths"][address]["get"]

    def parameters(self, path: str) -> dict[str, dict[str, Any]]:
        return {p["name"]: p for p in map(self.follow, self.operation(path)["parameters"])}

    def record(self, path: str) -> Any:
        """The schema of one element of ``data``."""
        content = self.operation(path)["responses"]["200"]["content"]["application/json"]
        return self.follow(self.properties(content["schema"])["data"])["items"]

    def follow(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            target: Any = self.document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = target
        return schema

    def variants(self, schema: dict[str, Any]) -> list[dict[str, Any]]:
        """The schema and all that it is composed of."""
        schema = self.follow(schema)
        parts = [p for word in ("allOf", "oneOf", "anyOf") for p in schema.get(word, [])]
        return [schema, *(v for part in parts for v in self.variants(part))]

    def properties(self, schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {
            name: field
            for variant in self.variants(schema)
            for name, field in variant.get("properties", {}).items()
        }


spec = cache(Spec)

#: The fields of a record or object, each with its schema in the list and in the export.
Fields = dict[str, list[dict[str, Any]]]


def paths(entity: Entity) -> list[str]:
    return [path for path in (entity.path, entity.export) if path]


def fields(entity: Entity) -> Fields:
    """Every field of the list's and the export's records, with its schema in each."""
    found: Fields = {}
    for path in paths(entity):
        for name, field in spec(entity.spec).properties(spec(entity.spec).record(path)).items():
            found.setdefault(name, []).append(field)
    return found


def inner(entity: Entity, schemas: list[dict[str, Any]]) -> Fields:
    """The fields of nested objects, or of the elements of nested lists."""
    found: Fields = {}
    for schema in schemas:
        for variant in spec(entity.spec).variants(schema):
            element = variant.get("items", variant)
            for name, field in spec(entity.spec).properties(element).items():
                found.setdefault(name, []).append(field)
    return found


def line_table(entity: Entity) -> tuple[str, type[Nested], Fields] | None:
    """Where the nested rows of an entity stand, their model and their specified fields."""
    nested = lines(entity.model)
    if nested is None:
        return None
    return nested.path, nested.model, inner(entity, fields(entity)[nested.path])


def differences(
    entity: Entity, known: dict[str, Any], specified: dict[str, Any], where: str
) -> list[str]:
    wrong = [f"{where}{name} is not specified" for name in known.keys() - specified.keys()]
    wrong += [f"{where}{name} is not in the model" for name in specified.keys() - known.keys()]
    for name, nested in known.items():
        if nested and name in specified:
            deeper = inner(entity, specified[name])
            wrong += differences(entity, nested, deeper, f"{where}{name}.")
    return wrong


def schemas_at(entity: Entity, specified: Fields, path: tuple[str, ...]) -> list[dict[str, Any]]:
    schemas = specified[path[0]]
    for name in path[1:]:
        schemas = inner(entity, schemas)[name]
    return schemas


def mismatch(entity: Entity, column: Column, specified: Fields, numbers: set[str]) -> str | None:
    """How the column's type fails to hold what is specified, if it does."""
    for schema in schemas_at(entity, specified, column.path):
        for variant in spec(entity.spec).variants(schema):
            if (kind := variant.get("type")) is None:
                continue
            form = None if variant.get("format") in PLAIN_TEXT else variant.get("format")
            fits = HOLDS[kind, form]
            if column.path[-1] in numbers:
                assert (kind, form) == ("string", None), f"{column.name} is no string any more"
                fits = {ColumnType.NUMERIC}
            if column.type not in fits:
                return f"{column.name} is {column.type} but specified as {kind} {form}"
    return None


@entities
def test_every_list_parameter_is_one_that_the_endpoint_has(entity: Entity) -> None:
    known = spec(entity.spec).parameters(entity.path)
    windows: list[Created | Modified | None] = [None]
    if entity.history is History.CREATED:
        windows += [Created(START, END), Modified(START, END)]
    for window in windows:
        sent = list_query(entity, window, 1, 5000, include_total=True)
        assert sent.keys() <= known.keys()


@pytest.mark.parametrize(
    "entity", [e for e in REGISTRY.values() if e.export], ids=lambda entity: entity.name
)
def test_every_export_parameter_is_one_that_the_feed_has(entity: Entity) -> None:
    assert entity.export is not None
    assert export_query("token").keys() <= spec(entity.spec).parameters(entity.export).keys()


@entities
def test_the_feed_is_used_wherever_there_is_one(entity: Entity) -> None:
    feed = f"/tenant/{{tenant}}/export/{entity.path.removesuffix('/paginated')}"
    there = feed in spec(entity.spec).document["paths"]
    assert there == (entity.export is not None)


@entities
def test_rows_of_every_state_are_asked_for_wherever_they_can_be(entity: Entity) -> None:
    known = spec(entity.spec).parameters(entity.path)
    offered = known.keys() & {"active", "activeState"}
    assert offered == ({entity.all_rows[0]} if entity.all_rows else set())
    if entity.all_rows:
        name, value = entity.all_rows
        [values] = re.findall(r"Values: \[(.*?)\]", known[name]["description"])
        assert value in values.split(", ")


@entities
def test_the_order_is_pinned_by_a_field_that_the_endpoint_can_sort_by(entity: Entity) -> None:
    sort = spec(entity.spec).parameters(entity.path).get("sort")
    assert (sort is None) == (entity.sort is None)
    if sort and entity.sort:
        listed = re.search(r"Available fields are: ([\w, ]+)", sort.get("description") or "")
        allowed = listed[1].split(", ") if listed else USUAL_SORT_FIELDS
        assert entity.sort[0] in "+-"
        assert entity.sort[1:] in allowed


@entities
def test_windows_are_used_only_where_every_record_has_a_creation_time(entity: Entity) -> None:
    if entity.history is History.CREATED:
        assert not any(field.get("nullable") for field in fields(entity)["createdOn"])


@entities
def test_the_model_has_the_specified_fields_and_no_others(entity: Entity) -> None:
    wrong = differences(entity, known_fields(entity.model), fields(entity), "")
    if table := line_table(entity):
        path, model, specified = table
        wrong += differences(entity, known_fields(model), specified, f"{path}.")
    assert wrong == []


@entities
def test_the_columns_hold_what_is_specified(entity: Entity) -> None:
    tables: list[tuple[str, type[Nested], Fields]] = [(entity.name, entity.model, fields(entity))]
    if table := line_table(entity):
        tables.append((f"{entity.name}.{table[0]}", *table[1:]))
    wrong = [
        found
        for name, model, specified in tables
        for column in columns(model, personal=True)
        if not column.derived
        if (found := mismatch(entity, column, specified, NUMBERS_IN_STRINGS.get(name, set())))
    ]
    assert wrong == []


@entities
def test_the_key_is_a_field_of_the_model(entity: Entity) -> None:
    assert entity.key is None or entity.key in entity.model.model_fields
    assert (entity.lines is None) == (entity.parent_key is None) == (lines(entity.model) is None)
