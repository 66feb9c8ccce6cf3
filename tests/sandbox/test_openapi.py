"""Every response is what the published specification says, but for the nulls of live tenants."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from st_kpi.sandbox.endpoints import ENDPOINTS, Endpoint

SPECS = Path(__file__).resolve().parents[3] / "shared" / "openapi"
FILES = {
    "accounting": "accounting-v2",
    "crm": "crm-v2",
    "inventory": "inventory-v2",
    "jpm": "jpm-v2",
    "marketing": "marketing-v2",
    "payroll": "payroll-v2",
    "pricebook": "pricebook-v2",
    "reporting": "reporting-v2",
    "sales": "salestech-v2",
    "settings": "settings-v2",
}
PATTERNS = {
    "date-time": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z$",
    "date": r"^\d{4}-\d\d-\d\d$",
}
# Fields the specification calls never null, and live tenants send as null all the same.
NULLS = {
    ("customers", "address.city"),
    ("customers", "address.country"),
    ("customers", "address.state"),
    ("customers", "address.street"),
    ("customers", "address.zip"),
    ("customers", "externalData"),
    ("estimates", "items.itemGroupName"),
    ("gross-pay-items", "jobId"),
    ("job-types", "externalData"),
    ("jobs", "customerPo"),
    ("jobs", "externalData"),
    ("jobs", "firstAppointmentId"),
    ("jobs", "invoiceId"),
    ("jobs", "lastAppointmentId"),
    ("jobs", "noCharge"),
    ("locations", "address.city"),
    ("locations", "address.country"),
    ("locations", "address.state"),
    ("locations", "address.street"),
    ("locations", "address.zip"),
    ("locations", "externalData"),
}
FEEDS = [(e, feed) for e in ENDPOINTS for feed in (e.export, e.older_export) if feed]

pytestmark = pytest.mark.skipif(
    not SPECS.is_dir(), reason=f"the specification files are not beside the checkout ({SPECS})"
)


@cache
def spec(module: str) -> Any:
    return json.loads((SPECS / f"{FILES[module]}.json").read_text(encoding="utf-8"))


def plain(document: Any, node: Any) -> Any:
    """An OpenAPI 3.0 schema as JSON Schema: references resolved, `nullable` spelled out."""
    if "$ref" in node:
        target = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        return plain(document, {**target, **{k: v for k, v in node.items() if k != "$ref"}})
    out = {k: v for k, v in node.items() if k in ("type", "enum", "required")}
    if node.get("additionalProperties") is False:
        out["additionalProperties"] = False
    if node.get("format") in PATTERNS:
        out["pattern"] = PATTERNS[node["format"]]
    if "properties" in node:
        out["properties"] = {k: plain(document, v) for k, v in node["properties"].items()}
    if "items" in node:
        out["items"] = plain(document, node["items"])
    for word in ("oneOf", "allOf", "anyOf"):  # the specification wraps single references in them
        for part in node.get(word, ()):
            assert len(node[word]) == 1
            out.update(plain(document, part))
    if node.get("nullable"):
        out["type"] = [out["type"], "null"]
        if "enum" in out:
            out["enum"] = [*out["enum"], None]
    return out


@cache
def validator(
    module: str, path: str, status: str = "200", method: str = "get"
) -> Draft202012Validator:
    document = spec(module)
    answer = document["paths"][f"/tenant/{{tenant}}/{path}"][method]["responses"][status]
    schema = plain(document, answer["content"]["application/json"]["schema"])
    return Draft202012Validator(schema)


def problems(module: str, path: str, entity: str, body: Any) -> tuple[list[str], set[Any]]:
    """What does not fit, and which of the known nulls were met."""
    wrong, met = [], set()
    for error in validator(module, path).iter_errors(body):
        field = ".".join(str(part) for part in error.absolute_path if not isinstance(part, int))
        known = (entity, field.removeprefix("data."))
        if error.instance is None and known in NULLS:
            met.add(known)
        else:
            wrong.append(f"{field}: {error.message[:200]}")
    return wrong, met


def entity_of(entry: Endpoint) -> str:
    return entry.path.removesuffix("/paginated")


async def test_lists_fit_the_specification(client: Any, endpoint: Endpoint) -> None:
    path = f"{endpoint.module}:{endpoint.path}"
    everything = {"active": "Any", "activeState": "All", "pageSize": 300, "includeTotal": "true"}
    body = await client.ok(path, **everything)
    wrong, met = problems(endpoint.module, endpoint.path, entity_of(endpoint), body)
    assert wrong == []
    assert met == {known for known in NULLS if known[0] == entity_of(endpoint)}


@pytest.mark.parametrize(("entry", "feed"), FEEDS, ids=[feed for _, feed in FEEDS])
async def test_feeds_fit_the_specification(client: Any, entry: Endpoint, feed: str) -> None:
    body = await client.ok(f"{entry.module}:{feed}")
    body["data"] = body["data"][-200:]
    wrong, _ = problems(entry.module, feed, entity_of(entry), body)
    assert wrong == []
    assert body["data"]


async def test_the_item_feed_fits_the_specification(client: Any) -> None:
    body = await client.ok("accounting:export/invoice-items")
    body["data"] = body["data"][:200]
    wrong, _ = problems("accounting", "export/invoice-items", "invoice-items", body)
    assert wrong == []


REPORT = "report-category/{report_category}/reports/{reportId}"


async def test_reports_fit_the_specification(client: Any) -> None:
    """All of the Reporting API; what the data hold is free in it."""
    served = {
        "report-categories": "report-categories",
        "report-category/{report_category}/reports": "report-category/operations/reports",
        "dynamic-value-sets/{dynamicSetId}": "dynamic-value-sets/business-units",
    }
    for path, asked in served.items():
        body = await client.ok(f"reporting:{asked}")
        assert list(validator("reporting", path).iter_errors(body)) == []
    listed = await client.ok("reporting:report-category/operations/reports")
    for report in listed["data"]:
        path = f"reporting:report-category/operations/reports/{report['id']}"
        body = await client.ok(path)
        assert list(validator("reporting", REPORT).iter_errors(body)) == []
        days = {"From": "2024-01-01", "To": "2024-01-31", "DateType": 0}
        given = [
            {"name": asked["name"], "value": days[asked["name"]]}
            for asked in body["parameters"]
            if asked["isRequired"]
        ]
        data = await client.http.post(client.url(path + "/data"), json={"parameters": given})
        told = validator("reporting", REPORT + "/data", method="post")
        assert list(told.iter_errors(data.json())) == []
        again = await client.http.post(client.url(path + "/data"), json={"parameters": given})
        assert again.status_code == 429
        refused = validator("reporting", REPORT + "/data", "400", "post")
        assert list(refused.iter_errors(again.json())) == []


async def test_errors_fit_the_specification(client: Any) -> None:
    answer = await client.get("jpm:jobs", sort="-CompletedOn")
    assert list(validator("jpm", "jobs", "400").iter_errors(answer.json())) == []


def test_every_filter_is_a_parameter_of_the_specification() -> None:
    for entry in ENDPOINTS:
        operation = spec(entry.module)["paths"][f"/tenant/{{tenant}}/{entry.path}"]["get"]
        known = {parameter["name"] for parameter in operation["parameters"]}
        used = {*entry.filters, "createdOnOrAfter", "createdBefore", "page", "pageSize"}
        if entry.modified:
            used |= {"modifiedOnOrAfter", "modifiedBefore"}
        if entry.sort:
            used.add("sort")
        if entry.active.value in ("active", "activeState"):
            used.add(entry.active.value)
        assert used <= known, (entry.path, used - known)
