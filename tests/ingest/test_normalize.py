"""The hot path: every trap of reading JSON into typed columns, on real DuckDB."""

import json
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from st_kpi.ingest.normalize import Normalizer
from st_kpi.ingest.normalized import Normalized, Stamp
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import entity_tables

LOADED_AT = datetime(2025, 10, 21, 12, tzinfo=UTC)


def type_rows(
    tmp_path: Path, entity: str, rows: list[dict[str, Any] | str], personal: bool = False
) -> Normalized:
    """Type records given as objects, or as JSON text where the text matters."""
    records = [(row if isinstance(row, str) else json.dumps(row)).encode() for row in rows]
    tables = entity_tables(REGISTRY[entity], frozenset({entity} if personal else ()))
    with closing(Normalizer()) as normalizer:
        (typed,) = normalizer.normalize(
            REGISTRY[entity],
            tables,
            Stamp(77, "run-1", LOADED_AT),
            records,
            tmp_path / "page.parquet",
        )
    return typed


def read(file: Path | None) -> list[dict[str, Any]]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute("FROM read_parquet(?)", [str(file)])
        names = [column[0] for column in found.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def one(tmp_path: Path, entity: str, row: dict[str, Any] | str) -> dict[str, Any]:
    page = type_rows(tmp_path, entity, [row])
    assert page.rejects == ()
    (found,) = read(page.records)
    return found


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        pytest.param("2025-01-10T01:30:00Z", "2025-01-10T01:30:00", id="no fraction"),
        pytest.param("2025-01-10T01:30:00.1Z", "2025-01-10T01:30:00.100000", id="one digit"),
        pytest.param(
            "2025-01-10T01:30:00.1234567Z", "2025-01-10T01:30:00.123456", id="seven digits"
        ),
        pytest.param("2025-01-10T01:30:00", "2025-01-10T01:30:00", id="no offset means UTC"),
        pytest.param("2025-01-09T18:30:00-07:00", "2025-01-10T01:30:00", id="an offset is kept"),
        pytest.param("2025-01-10T15:30:00+14:00", "2025-01-10T01:30:00", id="the largest offset"),
        pytest.param(
            "9999-12-31T23:59:59.9999999", "9999-12-31T23:59:59.999999", id=".NET's last moment"
        ),
        pytest.param("0001-01-02T00:00:00Z", "0001-01-02T00:00:00", id="the second day of all"),
    ],
)
def test_timestamps_are_instants(tmp_path: Path, text: str, instant: str) -> None:
    row = one(tmp_path, "estimates", {"id": 1, "soldOn": text})
    assert row["sold_on"] == datetime.fromisoformat(instant).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        pytest.param('"1234.56"', "1234.56", id="string money"),
        pytest.param("1234.56", "1234.56", id="number money"),
        pytest.param('"-0.10"', "-0.10", id="negative"),
        pytest.param("0.1", "0.1", id="no float tail"),
        pytest.param("1.10", "1.10", id="a zero at the end"),
        pytest.param("1e3", "1000", id="an exponent"),
        pytest.param(
            '"12345678901234567890.123456789"', "12345678901234567890.123456789", id="wide"
        ),
        pytest.param("1.50000000000000000000", "1.5", id="zeros without number"),
        pytest.param(
            "12345678901234567.123456789", "12345678901234567.123456789", id="more than a double"
        ),
        pytest.param("-1.25e-7", "-0.000000125", id="nine decimals by an exponent"),
        pytest.param("1230000e-12", "0.00000123", id="zeros before an exponent"),
        pytest.param("0e-30", "0", id="zero with an exponent"),
        pytest.param("1234567890123456789e-9", "1234567890.123456789", id="digits, exponent"),
        pytest.param("1234567.123456789", "1234567.123456789", id="as many digits as there are"),
        pytest.param('""', None, id="an empty string is no amount"),
        pytest.param("null", None, id="null"),
    ],
)
def test_money_is_exact(tmp_path: Path, value: str, amount: str | None) -> None:
    row = one(tmp_path, "invoices", f'{{"id": 1, "subTotal": {value}}}')
    assert row["sub_total"] == (None if amount is None else Decimal(amount))


def test_digits_are_kept_wherever_they_are(tmp_path: Path) -> None:
    number = "123456789012.123456789012"
    text = f'{{"id": 1, "jobNumber": {number}, "novel": [{number}, 0.30000000000000004, 7]}}'
    row = one(tmp_path, "jobs", text)
    assert row["job_number"] == number
    assert json.loads(row["_extra"]) == {"novel": [number, 0.30000000000000004, 7]}


def test_ids_beyond_double_precision_keep_their_digits(tmp_path: Path) -> None:
    row = one(tmp_path, "jobs", '{"id": 9007199254740993, "customerId": 9223372036854775807}')
    assert (row["id"], row["customer_id"]) == (9007199254740993, 9223372036854775807)


@pytest.mark.parametrize(
    ("entity", "field", "value"),
    [
        pytest.param("jobs", "customerId", "1.7", id="a fraction is not an id"),
        pytest.param("jobs", "customerId", "true", id="true is not a number"),
        pytest.param("jobs", "customerId", "9007199254740993.0", id="an id as a float lost digits"),
        pytest.param("jobs", "customerId", '"abc"', id="text is not an id"),
        pytest.param("jobs", "customerId", "99999999999999999999", id="an id beyond 64 bits"),
        pytest.param("jobs", "noCharge", "1", id="one is not true"),
        pytest.param("invoices", "subTotal", "1e40", id="an amount beyond 38 digits"),
        pytest.param("jobs", "createdOn", '"yesterday"', id="no timestamp"),
        pytest.param("invoices", "subTotal", '"12,50"', id="a comma is no decimal point"),
        pytest.param("invoices", "subTotal", "1.23456789012345", id="more decimals than there are"),
        pytest.param("invoices", "subTotal", "0.0000000001", id="an amount that would become 0"),
        pytest.param("invoices", "subTotal", "1e-10", id="the same with an exponent"),
        pytest.param("invoices", "subTotal", "1.2345678901e0", id="an exponent of nothing"),
        pytest.param("invoices", "subTotal", "1e99999999999", id="an exponent beyond counting"),
        pytest.param("invoices", "subTotal", "1.00000000000000000001", id="twenty decimals"),
        pytest.param("invoices", "subTotal", "1e-400", id="what a double takes for zero"),
        pytest.param("invoices", "subTotal", "1234567890123456789e-10", id="digits and exponent"),
        pytest.param("invoices", "subTotal", '"NaN"', id="no number"),
        pytest.param("invoices", "subTotal", '"1_000"', id="a number of a programmer"),
        pytest.param("jobs", "createdOn", '"2025-01-01T00:00:00+99:00"', id="an offset of days"),
        pytest.param("jobs", "createdOn", '"2025-01-01T00:00:00+23:60"', id="60 minutes"),
        pytest.param("jobs", "createdOn", '"290000-01-01T00:00:00Z"', id="the year 290000"),
        pytest.param("jobs", "createdOn", '"0000-01-01T00:00:00Z"', id="the year 0"),
        pytest.param("jobs", "createdOn", '"9999-12-31T23:59:59-01:00"', id="the year 10000"),
        pytest.param("jobs", "createdOn", '"2025-01-01 (BC)"', id="before our era"),
        pytest.param("jobs", "createdOn", '"2025-01-01T00:00:00 America/Phoenix"', id="a zone"),
        pytest.param("credit_memos", "date", '"290000-01-01"', id="a day of the year 290000"),
        pytest.param("invoices", "customer", '"C1"', id="text where an object belongs"),
        pytest.param("invoices", "items", '{"id": 1}', id="an object where a list belongs"),
        pytest.param("credit_memos", "date", '"2025-02-30"', id="no such day"),
        pytest.param("jobs", "createdOn", '"infinity"', id="a word the engine knows"),
        pytest.param("jobs", "jobStatus", '["Completed"]', id="a list where text belongs"),
        pytest.param("jobs", "jobNumber", '{"id": 1}', id="an object where text belongs"),
    ],
)
def test_what_does_not_fit_is_rejected_with_its_field(
    tmp_path: Path, entity: str, field: str, value: str
) -> None:
    page = type_rows(tmp_path, entity, [f'{{"id": 1, "{field}": {value}}}', {"id": 2}])
    assert page.rejected == 1
    assert [(reject.source_id, reject.field) for reject in page.rejects] == [("1", field)]
    assert page.rejects[0].reason
    assert [row["id"] for row in read(page.records)] == [2]


TWICE = {
    "a field": '{"id": 1, "subTotal": 1, "subTotal": 2}',
    "the key": '{"id": 1, "id": 2}',
    "a field within": '{"id": 1, "customer": {"id": 1, "id": 2}}',
    "a field of a line": '{"id": 1, "items": [{"id": 3, "totalCost": 1, "totalCost": 2}]}',
    "an escaped one": '{"id": 1, "subTotal": 1, "sub\\u0054otal": 2}',
    "with a new field": '{"id": 1, "subTotal": 1, "novel": 1, "subTotal": 2}',
    "a new field": '{"id": 1, "novel": 1, "novel": 2}',
    "within, with a new field": '{"id": 1, "novel": 1, "customer": {"id": 1, "id": 2}}',
    "with a misshapen one": '{"id": 1, "items": 7, "subTotal": 1, "subTotal": 2}',
    "with one that does not fit": '{"id": 1, "subTotal": 1, "subTotal": "x"}',
}


@pytest.mark.parametrize("record", TWICE.values(), ids=TWICE)
def test_a_field_that_is_there_twice_keeps_its_record_out(tmp_path: Path, record: str) -> None:
    page = type_rows(tmp_path, "invoices", [{"id": 8}, record, {"id": 9, "novel": 2}])
    assert page.rejected == 1
    assert [row["id"] for row in read(page.records)] == [8, 9]
    (reject,) = [reject for reject in page.rejects if reject.reason == "is there twice"]
    assert reject.source_id == (None if record == TWICE["the key"] else "1")
    assert reject.value is None


def test_a_record_without_its_key_is_rejected(tmp_path: Path) -> None:
    page = type_rows(tmp_path, "jobs", [{"id": None, "jobNumber": "J-1"}, {"jobNumber": "J-2"}])
    assert page.rejected == 2
    assert {reject.field for reject in page.rejects} == {"id"}


def test_pay_lines_need_no_key(tmp_path: Path) -> None:
    page = type_rows(tmp_path, "gross_pay_items", [{"id": None, "amount": 125}] * 2)
    assert (page.rows, page.rejected) == (2, 0)


def test_a_bad_line_keeps_its_whole_record_out(tmp_path: Path) -> None:
    bad = {"id": 1, "items": [{"id": 5, "totalCost": "12"}, {"id": 6, "totalCost": "a lot"}]}
    page = type_rows(tmp_path, "invoices", [bad, {"id": 2, "items": [{"id": 7, "totalCost": "3"}]}])
    assert [(r.source_id, r.field, r.value) for r in page.rejects] == [
        ("1", "items[].totalCost", "a lot")
    ]
    assert [row["id"] for row in read(page.records)] == [2]
    assert [(row["invoice_id"], row["id"]) for row in read(page.lines)] == [(2, 7)]


def test_lines_carry_their_record_and_place(tmp_path: Path) -> None:
    payment = {
        "id": 3,
        "active": False,
        "createdOn": "2025-01-06T08:00:00Z",
        "appliedTo": [
            {"appliedId": 1, "appliedTo": 11, "appliedAmount": "600.00"},
            {"appliedId": 1, "appliedTo": 11, "appliedAmount": "600.00"},
        ],
    }
    page = type_rows(tmp_path, "payments", [payment, {"id": 4, "appliedTo": None}])
    found = read(page.lines)
    assert [(r["payment_id"], r["line"], r["id"], r["applied_to"]) for r in found] == [
        (3, 1, 1, 11),
        (3, 2, 1, 11),
    ]
    assert {r["active"] for r in found} == {False}
    assert {r["created_on"] for r in found} == {datetime(2025, 1, 6, 8, tzinfo=UTC)}


def test_unknown_fields_are_kept_and_reported(tmp_path: Path) -> None:
    rows: list[dict[str, Any] | str] = [
        {"id": 1, "isAutoDispatched": True, "jobnumber": "wrong case", "we/ird~'\"": 1},
        {"id": 2},
    ]
    page = type_rows(tmp_path, "jobs", rows)
    assert page.drift == {"isAutoDispatched", "jobnumber", "we/ird~'\""}
    extra = [json.loads(row["_extra"]) if row["_extra"] else None for row in read(page.records)]
    assert extra == [
        {"isAutoDispatched": True, "jobnumber": "wrong case", "we/ird~'\"": 1},
        None,
    ]


def test_unknown_fields_of_nested_objects_and_lines_are_kept_too(tmp_path: Path) -> None:
    invoice = {"id": 1, "customer": {"id": 5, "tier": "gold"}, "items": [{"id": 6, "uom": "gal"}]}
    page = type_rows(tmp_path, "invoices", [invoice])
    assert page.drift == {"customer.tier", "items[].uom"}
    assert json.loads(read(page.records)[0]["_extra"]) == {"customer.tier": "gold"}
    assert json.loads(read(page.lines)[0]["_extra"]) == {"uom": "gal"}


def test_personal_fields_are_left_out_and_the_test_flag_is_not(tmp_path: Path) -> None:
    rows: list[dict[str, Any] | str] = [
        {"id": 1, "name": "Greatest Homes", "address": {"street": "1 Made Up St", "city": "Mesa"}},
        {"id": 2, "name": "Ann Example"},
        {"id": 3, "name": None},
    ]
    page = type_rows(tmp_path, "customers", rows)
    found = read(page.records)
    assert [row["is_test"] for row in found] == [True, False, False]
    assert found[0]["address_city"] == "Mesa"
    assert not {"name", "address_street"} & found[0].keys()
    assert b"Made Up St" not in page.records.read_bytes()
    assert {row["_extra"] for row in found} == {None}
    with_names = read(type_rows(tmp_path, "customers", rows, personal=True).records)
    assert with_names[0]["address_street"] == "1 Made Up St"


@pytest.mark.parametrize(
    ("entity", "record"),
    [
        pytest.param(
            "invoices", {"customer": "Jane Secret"}, id="a name where a reference belongs"
        ),
        pytest.param("customers", {"address": "1 Secret Street"}, id="a street as plain text"),
        pytest.param("customers", {"Name": "Jane Secret"}, id="the name in another case"),
        pytest.param(
            "customers", {"address": {"Street": "1 Secret Street"}}, id="nested, another case"
        ),
        pytest.param(
            "customers", {"Address": {"street": "1 Secret Street"}}, id="the whole, another case"
        ),
        pytest.param(
            "jobs", {"jobNumber": {"of": "Jane Secret"}}, id="an object where text belongs"
        ),
    ],
)
def test_what_is_personal_is_kept_nowhere(
    tmp_path: Path, entity: str, record: dict[str, Any]
) -> None:
    page = type_rows(tmp_path, entity, [{"id": 1} | record])
    assert "Secret" not in str(page)
    assert "Secret" not in str(read(page.records))
    assert page.rejects or page.drift


def test_text_that_only_looks_like_json_is_text(tmp_path: Path) -> None:
    row = one(tmp_path, "estimates", {"id": 1, "name": "[call first] {fix} door"})
    assert row["name"] == "[call first] {fix} door"


def test_rows_are_stamped(tmp_path: Path) -> None:
    row = one(tmp_path, "jobs", {"id": 1})
    assert (row["tenant_id"], row["_run_id"], row["_loaded_at"]) == (77, "run-1", LOADED_AT)
    assert len(row["_content_hash"]) == 32
    assert row["active"] is True  # a list that shows live rows only does not say so


def test_the_empty_date_of_dotnet_is_none_and_counted(tmp_path: Path) -> None:
    rows: list[dict[str, Any] | str] = [
        {"id": 1, "soldOn": "0001-01-01T00:00:00Z", "name": "from 0001-01-01"},
        {"id": 2, "soldOn": "0001-01-01T00:00:00"},
        {"id": 3, "soldOn": None},
    ]
    page = type_rows(tmp_path, "estimates", rows)
    found = read(page.records)
    assert [row["sold_on"] for row in found] == [None] * 3
    assert (page.rejected, page.empty_dates) == (0, 2)
    assert found[0]["name"] == "from 0001-01-01"


def test_dates_without_time_stay_dates(tmp_path: Path) -> None:
    assert one(tmp_path, "credit_memos", {"id": 1, "date": "2025-01-12"})["date"] == date(
        2025, 1, 12
    )


def test_any_unicode_and_a_record_of_six_megabytes(tmp_path: Path) -> None:
    name = 'Zoë 🏠 \u202eO\'Brien "q" \\'
    big = {"id": 1, "name": name, "summary": "x" * 6_000_000, "items": []}
    row = one(tmp_path, "estimates", big)
    assert row["name"] == name


def test_the_newest_change_of_the_page(tmp_path: Path) -> None:
    rows: list[dict[str, Any] | str] = [
        {"id": 1, "modifiedOn": "2025-01-02T00:00:00Z"},
        {"id": 2, "modifiedOn": "2025-01-03T00:00:00Z"},
        {"id": 3, "modifiedOn": None},
    ]
    page = type_rows(tmp_path, "jobs", rows)
    assert page.max_modified_on == datetime(2025, 1, 3, tzinfo=UTC)


def test_the_same_record_from_a_list_and_from_its_feed_has_one_content(tmp_path: Path) -> None:
    """The list of jobs has no ``active``, and nobody promises the order of fields."""
    listed = one(tmp_path, "jobs", {"id": 1, "jobStatus": "Hold", "later": {"a": 1}})
    fed = one(tmp_path, "jobs", {"later": {"a": 1}, "active": True, "jobStatus": "Hold", "id": 1})
    assert fed["_content_hash"] == listed["_content_hash"]


@pytest.mark.parametrize(
    "other",
    [
        {"id": 1, "jobStatus": "Hold", "active": False},
        {"id": 1, "jobStatus": "Hold", "new": 1},
        {"id": 1, "jobStatus": "NULL"},
        {"id": 1, "jobStatus": None},
    ],
    ids=["deleted", "unknown-field", "a-word-like-null", "null"],
)
def test_another_content_has_another_hash(tmp_path: Path, other: dict[str, object]) -> None:
    known = one(tmp_path, "jobs", {"id": 1, "jobStatus": "Hold"})["_content_hash"]
    assert one(tmp_path, "jobs", other)["_content_hash"] != known


def test_a_null_is_not_the_word_null(tmp_path: Path) -> None:
    word, nothing = ({"id": 1, "jobStatus": status} for status in ("NULL", None))
    assert (
        one(tmp_path, "jobs", word)["_content_hash"]
        != one(tmp_path, "jobs", nothing)["_content_hash"]
    )


def test_another_line_is_another_content(tmp_path: Path) -> None:
    first, second = (
        one(tmp_path, "invoices", {"id": 1, "items": [{"id": 5, "total": total}]})
        for total in ("1.00", "2.00")
    )
    assert first["_content_hash"] != second["_content_hash"]


def test_the_days_of_what_changed_since(tmp_path: Path) -> None:
    """In the tenant's zone; of a row that does not say when it changed, always."""
    rows = [
        {"id": 1, "createdOn": "2025-01-01T03:00:00Z", "modifiedOn": "2025-10-20T08:59:59Z"},
        {"id": 2, "createdOn": "2025-01-02T03:00:00Z", "modifiedOn": "2025-10-20T09:00:00Z"},
        {"id": 3, "createdOn": "2025-01-03T03:00:00Z", "modifiedOn": None},
        {"id": 4, "createdOn": "2025-01-02T09:00:00Z", "modifiedOn": "2025-10-21T09:00:00Z"},
    ]
    page = type_rows(tmp_path, "gross_pay_items", list(rows))
    normalizer = Normalizer()
    since = datetime(2025, 10, 20, 9, tzinfo=UTC)
    found = normalizer.created_days([page.records], "America/Phoenix", since)
    normalizer.close()
    assert found == [date(2025, 1, 1), date(2025, 1, 2)]


@pytest.mark.parametrize(
    ("item", "field"),
    [
        ("5", "items[]"),
        ('"paint"', "items[]"),
        ("[]", "items[]"),
        ('{"itemGroup": 1}', "items[].itemGroup"),
    ],
)
def test_a_line_that_is_no_object_keeps_its_record_out(
    tmp_path: Path, item: str, field: str
) -> None:
    rows: list[dict[str, Any] | str] = [f'{{"id": 1, "items": [{{"id": 3}}, {item}]}}', {"id": 2}]
    page = type_rows(tmp_path, "invoices", rows)
    assert [(reject.source_id, reject.field) for reject in page.rejects] == [("1", field)]
    assert [row["id"] for row in read(page.records)] == [2]


def test_all_that_is_wrong_with_a_record_is_told_at_once(tmp_path: Path) -> None:
    bad = '{"id": "x", "customer": 5, "subTotal": "a lot", "items": [{"id": 1}, {"id": 2, "total": true}]}'
    page = type_rows(tmp_path, "invoices", [bad, {"id": 2, "new": 1}])
    assert {(reject.field, reject.value) for reject in page.rejects} == {
        ("id", "x"),
        ("customer", None),
        ("subTotal", "a lot"),
        ("items[].total", "True"),
    }
    assert (page.rows, page.rejected, page.drift) == (1, 1, {"new"})


def test_numbers_and_flags_where_text_belongs_are_that_text(tmp_path: Path) -> None:
    assert one(tmp_path, "jobs", '{"id": 1, "jobNumber": 1e999}')["job_number"] is not None
    record = '{"id": 1, "jobNumber": 12345678901234567890123, "jobStatus": true, "new": 1.5}'
    row = one(tmp_path, "jobs", record)
    assert (row["job_number"], row["job_status"]) == ("12345678901234567890123", "true")
    assert row["_extra"] == '{"new":1.5}'


def test_a_null_among_the_lines_is_a_line_without_values(tmp_path: Path) -> None:
    page = type_rows(tmp_path, "invoices", ['{"id": 1, "items": [null, {"id": 7}]}'])
    assert [(row["line"], row["id"]) for row in read(page.lines)] == [(1, None), (2, 7)]


def test_a_line_without_a_flag_has_its_records(tmp_path: Path) -> None:
    rows: list[dict[str, Any] | str] = [
        {"id": 1, "active": False, "items": [{"id": 3}]},
        {"id": 2, "items": [{"id": 4}]},
    ]
    page = type_rows(tmp_path, "invoices", rows)
    assert [row["active"] for row in read(page.lines)] == [False, True]


def test_a_misfit_does_not_change_what_the_others_become(tmp_path: Path) -> None:
    good = {
        "id": 2,
        "subTotal": "1.10",
        "invoiceDate": "2025-01-02T00:00:00Z",
        "items": [{"id": 1}],
    }
    alone = one(tmp_path, "invoices", good)
    page = type_rows(tmp_path, "invoices", [{"id": 1, "subTotal": "x"}, good, {"id": None}])
    assert read(page.records) == [alone]
    assert [reject.field for reject in page.rejects] == ["subTotal", "id"]
