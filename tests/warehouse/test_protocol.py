"""What every warehouse engine does alike: merging versions, replacing lines and windows, transactions, values."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from typing import Any

import pytest

from st_kpi.columns import ColumnType
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import raw_tables, record_table
from st_kpi.warehouse.base import Merged, Reading, Receipt, TypedFiles
from st_kpi.windows import Window
from tests.support.loader import Loader, invoice

INVOICES = "SELECT id, sub_total FROM st_raw.invoices ORDER BY id"
ITEMS = "SELECT invoice_id, line, total_cost FROM st_raw.invoice_items ORDER BY invoice_id, line"


def test_loading_twice_changes_nothing(loader: Loader) -> None:
    rows = [invoice(1, 5, "100", "7", "7"), invoice(2, 5, "200")]
    assert loader.load("invoices", rows) == Merged(distinct=2, stored=2, changed=2)
    before = loader.warehouse.query("SELECT * FROM st_raw.invoices ORDER BY id")
    assert loader.load("invoices", rows) == Merged(distinct=2, stored=2, changed=0)
    assert loader.warehouse.query("SELECT * FROM st_raw.invoices ORDER BY id") == before
    assert loader.rows(ITEMS) == [(1, 1, Decimal(7)), (1, 2, Decimal(7))]


#: What happens, with the days on which the first and the second version were modified (0: on none) and who stays.
VERSIONS = {
    "a newer version replaces": (5, 6, "200"),
    "an older version never overwrites": (6, 5, "100"),
    "at equal age the later fetch is right": (5, 5, "200"),
    "a version without a date is the oldest": (0, 5, "200"),
    "and does not overwrite one with a date": (5, 0, "100"),
    "two without a date are of equal age": (0, 0, "200"),
}


def test_which_version_stays(loader: Loader) -> None:
    cases = list(enumerate(VERSIONS.items(), 1))
    loader.load("invoices", [invoice(n, first, "100", "1") for n, (_, (first, _, _)) in cases])
    loader.load("invoices", [invoice(n, then, "200", "2", "3") for n, (_, (_, then, _)) in cases])
    totals, items = dict(loader.rows(INVOICES)), loader.rows(ITEMS)
    lines = {"100": [(1, 1)], "200": [(1, 2), (2, 3)]}
    for n, (case, (_, _, expected)) in cases:
        assert totals[n] == Decimal(expected), case
        assert [(line, cost) for of, line, cost in items if of == n] == lines[expected], case


def test_of_equally_old_versions_the_one_read_later_stays_in_whatever_order_they_come(
    loader: Loader,
) -> None:
    """A list read before the record was deleted is merged after the feed that says so."""
    deleted = invoice(1, 5, "100") | {"active": False}
    loader.read_at += timedelta(seconds=2)
    loader.load("invoices", [deleted])
    loader.read_at -= timedelta(seconds=1)
    assert loader.load("invoices", [invoice(1, 5, "100")]).changed == 0
    assert loader.rows("SELECT active FROM st_raw.invoices") == [(False,)]


def test_what_a_complete_reading_no_longer_has_turns_inactive(loader: Loader) -> None:
    live = "SELECT id FROM st_raw.invoices WHERE active ORDER BY id"
    loader.load("invoices", [invoice(n, 5, "1") for n in (1, 2, 3)])
    reading = Reading(loader.read_at + timedelta(hours=1), "run-9")
    listed = [invoice(1, 5, "1"), invoice(3, 5, "1")]
    # A window of other days does not speak of these, nor does a reading begun before they came.
    assert loader.load("invoices", window=FEBRUARY, everything=reading).vanished == 0
    early = Reading(loader.read_at, "run-9")
    assert loader.load("invoices", listed, window=JANUARY, everything=early).vanished == 0
    assert loader.load("invoices", listed, window=JANUARY, everything=reading).vanished == 1
    assert loader.rows(live) == [(1,), (3,)]
    assert loader.load("invoices", listed, window=JANUARY, everything=reading).vanished == 0
    loader.read_at += timedelta(hours=2)
    assert loader.load("invoices", [invoice(2, 5, "1")]).changed == 1  # it is there again
    assert loader.rows(live) == [(1,), (2,), (3,)]


@pytest.mark.parametrize("flipped", [False, True], ids=["newest last", "newest first"])
def test_one_version_per_key_within_a_chunk(loader: Loader, flipped: bool) -> None:
    pages = [[invoice(1, 5, "100", "1", "2")], [invoice(1, 6, "200", "9"), invoice(2, 1, "5")]]
    merged = loader.load("invoices", *(reversed(pages) if flipped else pages))
    assert merged == Merged(distinct=2, stored=2, changed=2)
    assert loader.rows(INVOICES) == [(1, Decimal(200)), (2, Decimal(5))]
    assert loader.rows(ITEMS) == [(1, 1, Decimal(9))]


def test_the_same_record_on_two_pages_brings_its_lines_once(loader: Loader) -> None:
    loader.load("invoices", [invoice(1, 5, "100", "1", "2")], [invoice(1, 5, "100", "1", "2")])
    assert loader.rows(ITEMS) == [(1, 1, Decimal(1)), (1, 2, Decimal(2))]


def test_lines_that_are_gone_from_a_newer_version_go(loader: Loader) -> None:
    loader.load("invoices", [invoice(1, 5, "100", "1", "2"), invoice(2, 5, "50", "8")])
    loader.load("invoices", [invoice(1, 6, "100")])
    assert loader.rows(ITEMS) == [(2, 1, Decimal(8))]


JANUARY = Window(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC))
FEBRUARY = Window(datetime(2025, 2, 1, tzinfo=UTC), datetime(2025, 3, 1, tzinfo=UTC))


def pay(day: str, amount: int) -> dict[str, Any]:
    return {"id": None, "createdOn": f"{day}T00:00:00Z", "jobId": 1, "amount": amount}


def test_equal_pay_lines_all_stay_and_windows_are_replaced(loader: Loader) -> None:
    amounts = "SELECT amount FROM st_raw.gross_pay_items ORDER BY created_on, amount"
    january = [pay("2025-01-05", 125), pay("2025-01-05", 125), pay("2025-01-31", 50)]
    assert loader.load("gross_pay_items", january, window=JANUARY) == Merged(3, 3, 3)
    loader.load("gross_pay_items", [pay("2025-02-01", 9)], window=FEBRUARY)
    assert loader.load("gross_pay_items", january, window=JANUARY) == Merged(3, 3, 0)
    assert loader.rows(amounts) == [(125,), (125,), (50,), (9,)]
    loader.load("gross_pay_items", [pay("2025-01-05", 125)], window=JANUARY)
    assert loader.rows(amounts) == [(125,), (9,)]
    loader.read_at += timedelta(hours=1)
    corrected = [pay("2025-01-05", 125), pay("2025-01-06", 9)]
    assert loader.load("gross_pay_items", corrected, window=JANUARY) == Merged(2, 2, 1)
    rows = loader.rows("SELECT COUNT(DISTINCT _loaded_at) AS n FROM st_raw.gross_pay_items")
    assert rows == [(2,)]  # lines that stay are not written again
    loader.load("gross_pay_items", [pay("2025-01-05", 125)], window=JANUARY)
    assert loader.load("gross_pay_items", [], window=JANUARY) == Merged(0, 0, 0, vanished=1)
    assert loader.rows(amounts) == [(9,)]


def test_a_receipt_has_the_counts_of_its_merge(loader: Loader) -> None:
    receipt = Receipt(
        "INSERT INTO st_ops.chunks (entity, distinct_rows, stored, changed, vanished, missed)"
        " SELECT @entity, @distinct_rows, @stored_rows, @changed_rows, @vanished_rows,"
        " (SELECT COUNT(*) FROM st_raw.invoices WHERE tenant_id = @tenant_id)",
        {"entity": "invoices", "tenant_id": 77},
        None,
    )
    reading = Reading(loader.read_at + timedelta(hours=1), "run-9")
    loader.load("invoices", [invoice(n, 5, "1") for n in (1, 2)], receipt=receipt)
    loader.load("invoices", [invoice(2, 5, "1")], everything=reading, receipt=receipt)
    loader.load("invoices", everything=reading, receipt=receipt)
    loader.load("invoices", receipt=receipt)
    counts = "SELECT distinct_rows, stored, changed, vanished, missed FROM st_ops.chunks"
    assert sorted(loader.rows(counts)) == [
        (0, 0, 0, 0, 2),
        (0, 0, 0, 1, 2),
        (1, 1, 0, 1, 2),
        (2, 2, 2, 0, 2),
    ]


def test_tenants_do_not_meet(loader: Loader) -> None:
    loader.load("invoices", [invoice(1, 5, "100")])
    loader.warehouse.execute("UPDATE st_raw.invoices SET tenant_id = 78 WHERE id = 1")
    loader.load("invoices", [invoice(1, 4, "300")])
    rows = loader.rows("SELECT tenant_id, sub_total FROM st_raw.invoices ORDER BY tenant_id")
    assert rows == [(77, Decimal(300)), (78, Decimal(100))]


def test_a_transaction_shows_all_or_nothing(loader: Loader) -> None:
    """What it wrote is what its own statements read; nobody else does before its end, and never if it fails."""
    warehouse = loader.warehouse
    columns = [("n", ColumnType.INT64)]
    warehouse.write_table("st_ref.kept", columns, [[1]])
    run = {"run_id": "r", "tenant_id": 77, "flow": "f", "status": "running"}

    class Stop(Exception):
        pass

    def write(*, stop: bool) -> None:
        with warehouse.transaction():
            warehouse.execute("INSERT INTO st_ref.kept (n) VALUES (2)")
            warehouse.replace_table("st_ref.made", "SELECT n + 10 AS n FROM st_ref.kept")
            warehouse.insert("st_ops.runs", [run])
            warehouse.execute(
                "UPDATE st_ops.runs SET status = @s WHERE run_id = @r", {"s": "x", "r": "r"}
            )
            assert loader.rows("SELECT n FROM st_ref.made ORDER BY n") == [(11,), (12,)]
            if stop:
                raise Stop

    with pytest.raises(Stop):
        write(stop=True)
    assert loader.rows("SELECT n FROM st_ref.kept") == [(1,)]
    assert not warehouse.table_exists("st_ref.made")
    assert loader.rows("SELECT COUNT(*) AS n FROM st_ops.runs") == [(0,)]
    write(stop=False)
    assert loader.rows("SELECT n FROM st_ref.kept ORDER BY n") == [(1,), (2,)]
    assert loader.rows("SELECT n FROM st_ref.made ORDER BY n") == [(11,), (12,)]
    assert loader.rows("SELECT status FROM st_ops.runs") == [("x",)]


def test_differences_are_applied_by_the_number_of_equal_rows(loader: Loader) -> None:
    """Also where a value is null; inside a transaction what follows reads the rows as they are then."""
    warehouse = loader.warehouse
    columns = [("n", ColumnType.INT64), ("label", ColumnType.STRING)]
    stored = [[1, "a"], [1, "a"], [2, None], [2, None], [3, "c"], [4, "d"]]
    counts = [("before", ColumnType.INT64), ("after", ColumnType.INT64)]
    warehouse.write_table("st_kpi.kept", columns, stored)

    def apply(*differences: list[object]) -> bool:
        warehouse.write_table("st_staging.changed_contributions", columns + counts, differences)
        names = [name for name, _ in columns]
        return warehouse.apply_differences("st_kpi.kept", names, "st_staging.changed_contributions")

    def rows() -> list[Any]:
        return loader.rows("SELECT n, label FROM st_kpi.kept ORDER BY n, label")

    with warehouse.transaction():
        assert apply([1, "a", 2, 1], [2, None, 2, 3], [3, "c", 1, 0], [5, None, 0, 2])
        within = rows()
    assert within == rows()
    assert within == [(1, "a"), *[(2, None)] * 3, (4, "d"), (5, None), (5, None)]
    with warehouse.transaction():
        assert not apply()
    assert rows() == within


def test_of_many_questions_each_has_its_answer(loader: Loader) -> None:
    selects = [
        f"SELECT n, @label AS label FROM UNNEST(GENERATE_ARRAY(1, {count})) AS n"
        for count in [0, 2, 0, 1, *[0] * 9, 3]
    ]
    with loader.warehouse.transaction():
        answers = loader.warehouse.query_each(selects, {"label": "x", "unused": 1})
    assert [len(rows) for rows in answers] == [0, 2, 0, 1, *[0] * 9, 3]
    assert answers[3] == [{"n": 1, "label": "x"}]


def test_work_side_by_side_is_of_one_transaction(loader: Loader) -> None:
    warehouse = loader.warehouse

    def work(number: int) -> int:
        warehouse.replace_table(f"st_kpi.made_{number}", f"SELECT {number} AS n")
        if number == 3:
            raise ZeroDivisionError
        return number

    def of(*numbers: int) -> list[int]:
        with warehouse.transaction():
            results = warehouse.side_by_side([partial(work, number) for number in numbers])
            both = " UNION ALL ".join(f"SELECT n FROM st_kpi.made_{number}" for number in numbers)
            assert loader.rows(f"SELECT SUM(n) AS n FROM ({both}) AS made") == [(sum(numbers),)]
        return results

    with pytest.raises(ZeroDivisionError):
        of(1, 2, 3)
    assert not warehouse.table_exists("st_kpi.made_1")
    assert of(2, 1) == [2, 1]
    assert warehouse.table_exists("st_kpi.made_1")


def test_tables_that_nobody_needs_are_dropped(loader: Loader) -> None:
    warehouse = loader.warehouse
    with warehouse.transaction():
        warehouse.write_table("st_staging.counted", [("n", ColumnType.INT64)], [[1]])
        warehouse.drop(["st_staging.counted", "st_staging.late_costs"])
    assert not warehouse.table_exists("st_staging.counted")


def test_times_come_back_in_utc(loader: Loader) -> None:
    loader.load("invoices", [invoice(1, 5, "100")])
    (row,) = loader.warehouse.query("SELECT modified_on FROM st_raw.invoices")
    assert row["modified_on"] == datetime(2025, 1, 5, tzinfo=UTC)
    assert row["modified_on"].utcoffset() == timedelta(0)


def test_values_come_back_as_they_went_in(loader: Loader) -> None:
    columns = [
        ("n", ColumnType.INT64),
        ("label", ColumnType.STRING),
        ("flag", ColumnType.BOOL),
        ("amount", ColumnType.NUMERIC),
        ("share", ColumnType.FLOAT64),
        ("at", ColumnType.TIMESTAMP),
        ("day", ColumnType.DATE),
    ]
    at = datetime(2025, 1, 5, 7, 30, 0, 123456, tzinfo=UTC)
    full = (
        2**53 + 1,
        'it\'s "é"\n',
        False,
        Decimal("12345678901234567890.123456789"),
        0.1,
        at,
        at.date(),
    )
    rows = [full, (2, *[None] * 6)]
    loader.warehouse.write_table("st_ref.kinds", columns, rows)
    rows_read = loader.warehouse.query("SELECT * FROM st_ref.kinds ORDER BY n DESC")
    assert [tuple(row.values()) for row in rows_read] == rows
    assert str(rows_read[0]["amount"]) == "12345678901234567890.123456789"
    loader.warehouse.write_table("st_ref.kinds", columns, [])
    assert loader.warehouse.query("SELECT * FROM st_ref.kinds") == []


#: A value and the condition that finds it.
PARAMETERS = {
    "texts": (["a", "b"], "label IN UNNEST(@value)"),
    "numbers": ([1, 7], "n IN UNNEST(@value)"),
    "text": ("a", "label = @value"),
    "number": (7, "n = @value"),
    "flag": (True, "flag = @value"),
    "amount": (Decimal("1.5"), "amount = @value"),
    "instant": (datetime(2025, 1, 5, tzinfo=UTC), "at >= @value"),
    "day": (datetime(2025, 1, 5, tzinfo=UTC).date(), "day = @value"),
}


def test_parameters_have_the_type_of_their_value(loader: Loader) -> None:
    row = (
        "SELECT 7 AS n, 'a' AS label, TRUE AS flag, CAST(1.5 AS NUMERIC) AS amount,"
        " TIMESTAMP '2025-01-05 00:00:00+00' AS at, DATE '2025-01-05' AS day"
    )
    for kind, (value, condition) in PARAMETERS.items():
        sql = f"SELECT n FROM ({row}) AS given WHERE {condition}"
        rows_read = loader.warehouse.query(sql, {"value": value, "unused": object()})
        assert rows_read == [{"n": 7}], kind


def test_nothing_and_an_empty_list_are_parameters_too(loader: Loader) -> None:
    rows_read = loader.warehouse.query(
        "SELECT COALESCE(@input_watermark, TIMESTAMP '2025-01-05 00:00:00+00') AS at,"
        " 'a' IN UNNEST(@produced_excludes) AS listed, @text AS label",
        {"input_watermark": None, "produced_excludes": [], "text": None},
    )
    assert rows_read == [{"at": datetime(2025, 1, 5, tzinfo=UTC), "listed": False, "label": None}]


def test_what_has_no_column_is_kept_as_text(loader: Loader) -> None:
    loader.load("invoices", [invoice(1, 5, "100") | {"novel": {"b": [1, None], "a": "é"}}])
    ((extra,),) = loader.rows("SELECT _extra FROM st_raw.invoices")
    assert json.loads(extra) == {"novel": {"b": [1, None], "a": "é"}}


def test_a_fingerprint_tells_rows_apart_but_not_their_order(loader: Loader) -> None:
    columns = [("n", ColumnType.INT64), ("label", ColumnType.STRING)]

    def of(*rows: tuple[int | None, str | None]) -> str:
        loader.warehouse.write_table("st_ref.some", columns, rows)
        return loader.warehouse.versions(["st_ref.some"])["st_ref.some"]

    with loader.warehouse.transaction():  # nothing has to be published for it
        assert of((1, "a"), (2, None)) == of((2, None), (1, "a"))
        different = [
            (),
            ((1, "a"),),
            ((1, "a"), (1, "a")),
            ((1, "a"),) * 3,
            ((1, None),),
            ((None, "a"),),
        ]
        assert len({of(*rows) for rows in different}) == len(different)


def test_new_columns_are_added_and_rows_kept(loader: Loader) -> None:
    loader.warehouse.execute("INSERT INTO st_raw.customers (tenant_id, id) VALUES (77, 1)")
    loader.warehouse.ensure(raw_tables(frozenset({"customers"})))
    rows_read = loader.warehouse.query("SELECT id, name FROM st_raw.customers")
    assert rows_read == [{"id": 1, "name": None}]


def test_a_table_may_get_other_columns(loader: Loader) -> None:
    for select, expected in (
        ("SELECT 1 AS n", {"n": 1}),
        ("SELECT 1 AS n, 'a' AS label", {"n": 1, "label": "a"}),
        ("SELECT 'a' AS n", {"n": "a"}),
    ):
        loader.warehouse.replace_table("st_kpi.made", select)
        assert loader.warehouse.query("SELECT * FROM st_kpi.made") == [expected]


def test_threads_load_side_by_side(loader: Loader) -> None:
    entities = ["invoices", "jobs", "payments"]
    pages = [
        TypedFiles(
            record_table(REGISTRY[name]),
            tuple(part.records for part in loader.page(name, [{"id": 1}])),
        )
        for name in entities
    ]

    def store(files: TypedFiles) -> Merged:
        with loader.warehouse.transaction():
            merged = loader.warehouse.merge(files, None, tenant_id=77, window=None)
            chunk = {"tenant_id": 77, "entity": files.table.name, "stored": merged.stored}
            loader.warehouse.insert("st_ops.chunks", [chunk])
        return merged

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(store, pages)) == [Merged(1, 1, 1)] * 3
    rows_read = loader.rows("SELECT entity, stored FROM st_ops.chunks ORDER BY entity")
    assert rows_read == [(name, 1) for name in sorted(entities)]


def test_the_columns_of_a_table_are_known_inside_a_transaction_too(loader: Loader) -> None:
    warehouse = loader.warehouse
    assert warehouse.column_names("st_kpi.made") == ()
    warehouse.replace_table("st_kpi.made", "SELECT 1 AS b, 'x' AS a")
    assert warehouse.column_names("st_kpi.made") == ("b", "a")
    with warehouse.transaction():
        warehouse.replace_table("st_kpi.made", "SELECT 1 AS b, 'x' AS a, 2 AS c")
        assert warehouse.column_names("st_kpi.made") == ("b", "a", "c")


@pytest.mark.parametrize(("rows", "kilobytes"), [(5000, 6), (5000, 25), (1, 30_000)])
def test_records_of_any_length(loader: Loader, rows: int, kilobytes: int) -> None:
    """As many lines as real invoices have, with words that do not compress to nothing."""
    words = Random(rows)
    prose = " ".join(str(words.random()) for _ in range(60 * kilobytes))
    size = kilobytes * 100

    def long(number: int) -> dict[str, Any]:
        record = invoice(number, 5, "100", *["7.25"] * 10)
        for item in record["items"]:
            start = words.randrange(len(prose) - size + 1)
            item["description"] = prose[start : start + size]
        return record

    assert loader.load("invoices", [long(n) for n in range(rows)]) == Merged(rows, rows, rows)
    assert loader.rows("SELECT SUM(sub_total) FROM st_raw.invoices") == [(100 * rows,)]
    assert loader.rows(
        "SELECT SUM(total_cost), MIN(LENGTH(description)), COUNT(*) FROM st_raw.invoice_items"
    ) == [(Decimal("72.5") * rows, size, 10 * rows)]


def test_lines_that_a_record_deleted_by_hand_has_left_do_not_come_twice(loader: Loader) -> None:
    rows = [invoice(1, 5, "100", "7", "8"), invoice(2, 5, "200")]
    loader.load("invoices", rows)
    loader.warehouse.execute("DELETE FROM st_raw.invoices WHERE id = 1")
    loader.load("invoices", rows)
    assert loader.rows(ITEMS) == [(1, 1, Decimal(7)), (1, 2, Decimal(8))]


def test_thousands_of_unknown_fields_are_one_json(loader: Loader) -> None:
    unknown = {f"unknown{n:04}": [n, "ü", 1e22, None] for n in range(5_000)}
    row = invoice(1, 1, "1") | unknown
    row["items"] = [{"id": 10, "totalCost": "2"} | unknown]
    merged = loader.load("invoices", [row])
    assert (merged.distinct, merged.stored) == (1, 1)
    ((extra,),) = loader.rows("SELECT _extra FROM st_raw.invoices")
    ((of_line,),) = loader.rows("SELECT _extra FROM st_raw.invoice_items")
    for found in (extra, of_line):
        assert json.loads(found) == unknown
