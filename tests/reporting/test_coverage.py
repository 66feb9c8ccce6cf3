"""What hangs on each line of the mapping files, and on none, from the loaded rows alone."""

import csv
import datetime as dt
import io
import json
from decimal import Decimal
from typing import Any

import pytest

from st_kpi.cli.render import coverage_csv, coverage_json, coverage_table
from st_kpi.errors import CheckFailed, MappingError, NothingLoaded
from st_kpi.reporting.coverage import Coverage, Note, Row, read
from tests.support.field import MONDAY, ROWS, UNITS
from tests.support.raw_rows import TENANT, Tenant

HEADER = UNITS.splitlines()[0] + "\n"


def covered(tenant: Tenant, **other: Any) -> Coverage:
    """The coverage of the tenant's rows, which no build has seen."""
    tenant.write()
    asked: dict[str, Any] = {"tenant_id": TENANT, "timezone": "America/Phoenix", "today": MONDAY}
    return read(tenant.warehouse, tenant.folder, **asked | other)


def row(coverage: Coverage, id: int, line: int | None) -> Row:
    (found,) = [row for row in coverage.rows if (row.id, row.line) == (id, line)]
    return found


def amounts(row: Row) -> dict[str, Decimal]:
    return {name: amount for name, amount in row.amounts.items() if amount}


def test_jobs_and_money_by_line(small: Tenant) -> None:
    found = covered(small)
    sales, production = found.units
    assert (sales.line, sales.name, sales.rollup, sales.role) == (2, "East Sales", "East", "SALES")
    assert amounts(sales) == {"jobs": 1, "sold": 5000}
    assert amounts(production) == {"jobs": 1, "billed": 1000, "paid": 600, "open": 400}
    exterior, estimate = found.types
    assert (exterior.line, exterior.family, exterior.notes) == (2, "production", ())
    assert amounts(exterior) == amounts(production)
    assert (estimate.line, estimate.family, estimate.notes) == (None, None, (Note.BY_NAME,))
    assert found.is_complete
    assert found.says() == ["Everything that has jobs or money is mapped."]


def test_what_has_no_line_is_named_with_what_hangs_on_it(small: Tenant) -> None:
    small.map(HEADER + "East Sales,East,SALES,,\n", "job_type,family\nEstimate,estimate\n")
    found = covered(small)
    assert not found.is_complete
    assert row(found, 2, None).notes == row(found, 21, None).notes == (Note.UNMAPPED,)
    assert amounts(row(found, 2, None))["billed"] == 1000
    assert found.says() == [
        f"{small.folder}/business_units.csv needs a line for East Production.",
        f"{small.folder}/job_types.csv needs a line for RES-EXT.",
    ]


def test_what_nothing_hangs_on_is_said_and_stops_nobody(small: Tenant) -> None:
    small.add(
        {"business_units": [{"id": 3, "name": "West"}, {"id": 4, "name": "Old", "active": False}]}
    )
    small.map(UNITS + "Old,East,SALES,,\n")
    found = covered(small)
    assert row(found, 4, 4).notes == (Note.UNUSED, Note.RETIRED)
    assert row(found, 3, None).notes == (Note.UNMAPPED,)
    assert not row(found, 3, None).is_missing
    assert found.is_complete


def test_a_line_that_names_two_units_says_so(small: Tenant) -> None:
    small.add({"business_units": [{"id": 3, "name": "EAST  sales"}]})
    small.add(
        {
            "jobs": [
                {
                    "id": 301,
                    "business_unit_id": 3,
                    "job_type_id": 21,
                    "created_on": "2025-01-06 18:00",
                }
            ]
        }
    )
    found = covered(small)
    assert row(found, 1, 2).notes == row(found, 3, 2).notes == (Note.AMBIGUOUS,)
    assert [sentence for sentence in found.says() if "is the name of 2" in sentence] == [
        f"{small.folder}/business_units.csv:2: 'East Sales' is the name of 2, and the line means them all. Where that is"
        " wrong, write a line for each id: 1, 3."
    ]
    small.map(UNITS.replace("East Sales", "1") + "3,West,SALES,,\n")
    assert not [r for r in covered(small).units if Note.AMBIGUOUS in r.notes]


def test_days_are_shown_as_read_and_those_without_a_line_too(small: Tenant) -> None:
    """The invoice and its job are of the day of the work, the 8th; the open balance is of today."""
    small.map(
        HEADER
        + "1,East,SALES,,\n2,East,PRODUCTION,1/2/2025,1/8/2025\n2,West,PRODUCTION,2/1/2025,\n",
        "job_type,family\n",
    )
    found = covered(small)
    first, later, rest = row(found, 2, 3), row(found, 2, 4), row(found, 2, None)
    assert (first.valid_from, first.valid_to) == (dt.date(2025, 1, 2), dt.date(2025, 1, 8))
    assert amounts(first) == {"jobs": 1, "billed": 1000}
    assert later.notes == (Note.UNUSED,)
    assert (rest.valid_from, rest.valid_to) == (dt.date(2025, 1, 9), MONDAY)
    assert amounts(rest) == {"paid": 600, "open": 400}
    assert not found.is_complete
    assert row(found, 21, None).valid_from is None, "a job type has no days"
    assert "East Production  East    PRODUCTION  2025-01-02  2025-01-08" in coverage_table(found)


def test_a_unit_that_servicetitan_does_not_list_any_more(small: Tenant) -> None:
    small.edit({"jobs": [{"id": 201, "business_unit_id": 9}]})
    found = covered(small)
    assert row(found, 9, None).notes == (Note.UNMAPPED, Note.RETIRED)
    assert found.says() == [f"{small.folder}/business_units.csv needs a line for 9."]


def test_a_build_refuses_what_is_uncovered(small: Tenant) -> None:
    """The check ``unmapped_units`` and this say the same."""
    small.map(HEADER + "1,East,SALES,,\n2,East,PRODUCTION,,2025-01-10\n")
    assert not covered(small).is_complete
    with pytest.raises(CheckFailed, match="unmapped_units"):
        small.build(MONDAY)
    small.map(HEADER + "1,East,SALES,,\n2,East,PRODUCTION,,2025-01-20\n")
    assert covered(small).is_complete
    assert small.build(MONDAY).checks


def test_before_any_job_only_names_are_known(tenant: Tenant) -> None:
    tenant.map(HEADER + "East Sales,East,SALES,,\n", "job_type,family\nRES-EXT,production\n")
    with pytest.raises(NothingLoaded, match="run st-kpi backfill first"):
        covered(tenant)
    tenant.add({name: ROWS[name] for name in ("business_units", "job_types")})
    found = covered(tenant)
    assert [(r.name, r.notes) for r in found.units] == [
        ("East Sales", ()),
        ("East Production", (Note.UNMAPPED,)),
    ]
    assert found.says() == [
        "No job is loaded, so what hangs on each is not known yet: run `st-kpi backfill`."
    ]


def test_a_tenant_that_is_not_there(small: Tenant) -> None:
    with pytest.raises(NothingLoaded, match="No business unit of tenant 5 is loaded"):
        covered(small, tenant_id=5)
    assert covered(small, tenant_id=None).units == covered(small).units


def test_a_malformed_file_is_refused_as_by_a_build(small: Tenant) -> None:
    small.map(UNITS.replace("SALES", "SELLING"))
    with pytest.raises(MappingError, match="Unknown role 'SELLING'"):
        covered(small)


def test_the_same_as_csv_and_json(small: Tenant) -> None:
    found = covered(small)
    first, *_ = csv.DictReader(io.StringIO(coverage_csv(found)))
    assert first == {
        "file": "business_units.csv", "line": "2", "tenant_id": "1", "id": "1", "name": "East Sales",
        "rollup": "East", "role": "SALES", "family": "", "valid_from": "", "valid_to": "",
        "jobs": "1", "sold": "5000", "billed": "0", "paid": "0", "open": "0", "notes": "",
    }  # fmt: skip
    document = json.loads(coverage_json(found))
    assert document["complete"] is True
    assert (document["lines"][3]["notes"], document["lines"][3]["jobs"]) == (
        ["estimate by its name"],
        1,
    )
    assert len(document["lines"]) == 4
