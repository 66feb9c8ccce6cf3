"""Records that no honest server gives: each is stored with every digit, or refused with a reason, and nothing else happens."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from st_kpi.errors import MalformedResponse
from st_kpi.ingest.normalize import Normalizer
from st_kpi.ingest.normalized import Stamp
from st_kpi.servicetitan.pages import parse
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import entity_tables
from tests.ingest.test_normalize import read

INVOICES = REGISTRY["invoices"]
TABLES = entity_tables(INVOICES, frozenset({"invoices"}))

DIGITS = st.text("0123456789", min_size=1, max_size=22)
NUMBERS = st.builds(
    lambda sign, whole, fraction, exponent: sign + whole + fraction + exponent,
    st.sampled_from(["", "-"]),
    DIGITS.map(lambda text: text.lstrip("0") or "0"),
    st.just("") | DIGITS.map(lambda text: f".{text}"),
    st.sampled_from(["", "", "", "e5", "E-3", "e-12", "e-400", "e400", "e0"]),
)
TEXTS = st.sampled_from(
    [
        "2025-01-01T00:00:00Z",
        "2025-01-01T00:00:00+99:00",
        "290000-01-01T00:00:00Z",
        "0001-01-01T00:00:00",
        "9999-12-31T23:59:59.9999999-14:00",
        "2025-02-30",
        "infinity",
        "epoch",
        "nan",
        "1_000",
        " 1 ",
        "true",
        "0x10",
        "",
        "\ud800",
        "\x00",
        "\u2028",
        "'; DROP TABLE x; --",
        "1" * 400,
    ]
) | st.text(max_size=6)


def written(pairs: list[tuple[str, str]]) -> str:
    """An object with these fields, the same one twice where it is."""
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in pairs) + "}"


NAMES = [
    *(field.alias or name for name, field in INVOICES.model.model_fields.items()),
    *(
        "_extra",
        "ID",
        "subtotal",
        "a.b",
        "",
        "we/ird~'\"",
        "tenant_id",
        "_run_id",
        "t0",
        "r",
        "line",
    ),
]
LEAVES = (
    NUMBERS
    | NUMBERS.map(json.dumps)
    | TEXTS.map(json.dumps)
    | st.sampled_from(["null", "true", "false", "{}", "[]", "[" * 400 + "]" * 400])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.lists(st.tuples(st.sampled_from(["id", "name", "total", "x"]), inner), max_size=4).map(
            written
        )
    ),
    max_leaves=6,
)
RECORDS = st.builds(
    lambda amount, fields: [("subTotal", amount), *fields],
    NUMBERS | NUMBERS.map(json.dumps) | LEAVES,
    st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=5),
)
Records = list[list[tuple[str, str]]]


@pytest.fixture(scope="module")
def normalizer() -> Iterator[Normalizer]:
    with closing(Normalizer()) as normalizer:
        yield normalizer


def check(normalizer: Normalizer, folder: Path, records: Records) -> None:
    texts = [written([("id", str(n)), *fields]) for n, fields in enumerate(records, 1)]
    body = '{"hasMore":false,"data":[' + ",".join(texts) + "]}"
    try:
        page = parse(body.encode("utf-8", "surrogatepass"), entity="invoices", url="u")
    except MalformedResponse:
        return
    stamp = Stamp(1, "run", datetime(2025, 1, 1, tzinfo=UTC))
    parts = normalizer.normalize(INVOICES, TABLES, stamp, page.data, folder / "page.parquet")
    assert sum(part.rows + part.rejected for part in parts) == len(records)
    assert all(reject.reason for part in parts for reject in part.rejects)
    assert sum(part.rejected for part in parts) == 0 or any(part.rejects for part in parts)
    for row in (row for part in parts for row in read(part.records)):
        given_ = dict(records[row["id"] - 1])["subTotal"] if row["id"] <= len(records) else None
        if given_ is not None:
            assert row["sub_total"] == amount(given_)


def amount(text: str) -> Decimal | None:
    """What an amount says, all digits of it."""
    value: Any = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    if value is None or value == "":
        return None
    try:
        return Decimal(str(value).strip())
    except InvalidOperation:
        raise AssertionError(f"{text} was stored as an amount") from None


QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
SOME = st.lists(RECORDS, min_size=5, max_size=15)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=QUIET)
@given(records=SOME)
def test_each_record_is_stored_exactly_or_refused(
    normalizer: Normalizer, tmp_path: Path, records: Records
) -> None:
    check(normalizer, tmp_path, records)


@pytest.mark.slow
@settings(max_examples=1_000, deadline=None, suppress_health_check=QUIET)
@given(records=SOME)
def test_each_of_thousands_is(normalizer: Normalizer, tmp_path: Path, records: Records) -> None:
    check(normalizer, tmp_path, records)
