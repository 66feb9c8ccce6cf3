"""The counter of the tests: what it says of a few statements whose cost is known."""

from collections.abc import Iterator

import pytest

from st_kpi.warehouse.bigquery import load
from tests.support.bigquery_emulator import opened
from tests.support.counted import MINIMUM, Counted, Job, counted, dearest_chain
from tests.support.loader import Loader, invoice

ROWS, TIMES = 1_000, 10_000


@pytest.fixture
def counter(loader: Loader, url: str) -> Iterator[Counted]:
    with counted(url, times=TIMES) as counter:
        yield counter


def kinds(counter: Counted) -> list[str]:
    return [job.kind for job in counter.jobs()]


def test_jobs_are_counted_by_what_they_are(
    counter: Counted, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_MOST_VALUES", 0)
    warehouse = opened(counter.url)
    through = Loader(loader.folder, warehouse)
    through.load("invoices", [invoice(1, 5, "100", "7")])
    assert sorted(kinds(counter)) == ["LOAD", "LOAD", "SCRIPT"]
    counter.clear()
    warehouse.query("SELECT id FROM st_raw.invoices")
    warehouse.execute("DELETE FROM st_raw.invoices WHERE id = 2")
    warehouse.estimate("SELECT id FROM st_raw.invoices")
    counts = counter.counts()
    assert kinds(counter) == ["SELECT", "DELETE", "SELECT"]
    assert (counts.jobs, counts.dry_runs, counts.scripts, counts.statements) == (2, 1, 0, 0)
    assert counts.bytes == 2 * MINIMUM
    assert counts.requests >= 3
    warehouse.close()


def test_of_a_script_what_ran_is_counted(counter: Counted) -> None:
    warehouse = opened(counter.url)
    counter.clear()
    warehouse._jobs.run(
        "DECLARE n INT64;\n"
        "CREATE TEMP TABLE made AS SELECT 1 AS a;\n"
        "SET n = (SELECT COUNT(*) FROM made);\n"
        "IF n > 1 THEN DELETE FROM st_raw.jobs WHERE TRUE; SET n = 5; END IF;\n"
        "IF n = 1 THEN UPDATE st_raw.jobs SET active = FALSE WHERE CASE WHEN TRUE THEN FALSE END; ELSE SET n = 7; END IF;\n"
        "SELECT n FROM made"
    )
    (job,) = counter.jobs()
    assert [s.kind for s in job.statements] == ["CREATE AS", "SET", "UPDATE", "SELECT"]
    assert [s.bytes // MINIMUM for s in job.statements] == [0, 0, 1, 1]
    warehouse.close()


def test_a_table_made_in_a_branch_is_counted(counter: Counted) -> None:
    warehouse = opened(counter.url)
    counter.clear()
    for amount in (1, 0):
        warehouse._jobs.run(
            f"CREATE OR REPLACE TABLE st_kpi.noted AS SELECT n FROM UNNEST(GENERATE_ARRAY(1, {amount})) AS n;\n"
            "IF EXISTS (SELECT 1 FROM st_kpi.noted) THEN"
            " CREATE OR REPLACE TABLE st_kpi.made AS SELECT n FROM st_kpi.noted UNION ALL SELECT id FROM st_raw.jobs;"
            " END IF;\n"
            "SELECT n FROM st_kpi.noted"
        )
    first, second = counter.jobs()
    assert [s.kind for s in first.statements] == ["CREATE AS", "CREATE AS", "SELECT"]
    assert [s.bytes // MINIMUM for s in first.statements] == [0, 2, 1]
    assert [s.kind for s in second.statements] == ["CREATE AS", "SELECT"]
    warehouse.close()


def test_bytes_are_those_of_the_columns_that_are_read(counter: Counted) -> None:
    warehouse = opened(counter.url)
    warehouse._jobs.run(
        "CREATE OR REPLACE TABLE st_kpi.wide AS"
        " SELECT n AS a, CAST(n AS NUMERIC) AS b, 'eighteen characters' AS c"
        f" FROM UNNEST(GENERATE_ARRAY(1, {ROWS})) AS n"
    )
    counter.clear()
    for sql, width in {
        "SELECT a FROM st_kpi.wide": 8,
        "SELECT a, COUNT(*) FROM st_kpi.wide GROUP BY a": 8,
        "SELECT c FROM st_kpi.wide": 21,
        "SELECT * FROM st_kpi.wide": 45,
        "SELECT w.* FROM st_kpi.wide AS w": 45,
        "SELECT x.a FROM st_kpi.wide AS x": 8,
        "DELETE FROM st_kpi.wide WHERE a = 0": 45,
        "INSERT INTO st_kpi.wide (a) SELECT b FROM st_kpi.wide WHERE FALSE": 16,
        "SELECT COUNT(*) FROM st_kpi.wide": 0,
        "SELECT TO_JSON_STRING(w) FROM st_kpi.wide AS w": 45,
        "WITH all_of_it AS (SELECT * FROM st_kpi.wide) SELECT b FROM all_of_it": 16,
        "SELECT b.a FROM st_kpi.wide AS a CROSS JOIN st_kpi.wide AS b WHERE a.b = 1 LIMIT 1": 24,
        "MERGE st_kpi.wide AS t USING (SELECT c FROM st_kpi.wide LIMIT 1) AS s ON t.a = 0"
        " WHEN NOT MATCHED THEN INSERT (c) VALUES (c)": 29,
    }.items():
        warehouse._jobs.run(sql)
        assert counter.jobs()[-1].bytes == ROWS * TIMES * width, sql
    warehouse.close()


def test_waits_are_the_longest_chain() -> None:
    jobs = [
        Job("SCRIPT", *times)
        for times in ((0, 4), (1, 2), (2, 3), (3.5, 9), (4, 5), (5.5, 6), (9, 10))
    ]
    assert dearest_chain(jobs, lambda job: 1) == 5
    assert dearest_chain(jobs, lambda job: job.seconds) == 8.5
    assert dearest_chain([], lambda job: 1) == 0
