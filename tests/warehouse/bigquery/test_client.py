"""Jobs over a wire that fails: nothing is waited for without end, done twice, or left running."""

import asyncio
import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime

import pytest
from google.cloud import bigquery

from st_kpi.errors import TooComplex, WarehouseError
from st_kpi.warehouse import open_warehouse
from st_kpi.warehouse.bigquery.client import Jobs
from tests.support.bigquery_emulator import PROJECT, emptied, opened, options
from tests.support.faulty import Fault, Faulty, job_says

#: Minutes of work on the fastest machine, where nobody cancels it.
ENDLESS = (
    "SELECT COUNT(*) AS n FROM UNNEST(GENERATE_ARRAY(1, 1000000)) AS a"
    " CROSS JOIN UNNEST(GENERATE_ARRAY(1, 1000000)) AS b"
)
SEQUENCE = "st_staging.sequence"


@pytest.fixture(autouse=True)
def _sequence(jobs: Jobs) -> None:
    jobs.client.create_dataset("st_staging", exists_ok=True)
    jobs.run(f"CREATE OR REPLACE TABLE {SEQUENCE} AS SELECT 1 AS n")


def hurried(proxy: Faulty, **more: float) -> Jobs:
    return Jobs(PROJECT, "US", options(proxy.url, **{"request_seconds": 1, **more}))


def load(jobs: Jobs) -> None:
    schema = [bigquery.SchemaField("n", "INTEGER")]
    # It gets there, and is no file of that kind.
    with pytest.raises(WarehouseError, match=r"(?i)parquet|magic"):
        jobs.load(io.BytesIO(b"none"), 4, SEQUENCE, schema, f"load_{time.time_ns()}")


CALLS: dict[str, Callable[[Jobs], object]] = {
    "a SELECT": lambda jobs: jobs.rows(f"SELECT n FROM {SEQUENCE}"),
    "a script": lambda jobs: jobs.run(f"SELECT 1 AS n; SELECT n FROM {SEQUENCE}"),
    "a change": lambda jobs: jobs.run(f"UPDATE {SEQUENCE} SET n = 2 WHERE TRUE"),
    "an estimate": lambda jobs: jobs.estimate(f"SELECT n FROM {SEQUENCE}"),
    "a table": lambda jobs: jobs.table(SEQUENCE),
    "a load": load,
    "a deletion": lambda jobs: jobs.drop("st_staging.nothing"),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_a_request_that_is_never_answered_is_asked_again(proxy: Faulty, name: str) -> None:
    """Each kind of request once; Google's client of itself waits for ever."""
    jobs = hurried(proxy)
    proxy.first(1, "silent")
    ended = threading.Event()

    def call() -> None:
        CALLS[name](jobs)
        ended.set()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(30)
    assert ended.is_set(), proxy.failed
    assert proxy.failed
    jobs.close()


def test_questions_that_are_too_complex_together_are_asked_in_parts(proxy: Faulty) -> None:
    warehouse = opened(proxy.url)
    selects = [f"SELECT n FROM UNNEST([1]) AS n WHERE n = {n}" for n in (1, 2, 1, 3, 1)]
    proxy.message = (
        "Resources exceeded during query execution: Not enough resources for query planning"
        " - too many subqueries or query is too complex."
    )
    proxy.first(2, (400, "resourcesExceeded"))
    assert warehouse.query_each(selects, {}) == [[{"n": 1}], [], [{"n": 1}], [], [{"n": 1}]]
    assert len(proxy.failed) == 2
    proxy.first(100, (400, "resourcesExceeded"))
    with pytest.raises(TooComplex, match="cannot plan a statement in project local: Resources"):
        warehouse.query_each(selects, {})
    warehouse.close()


def test_one_that_stays_silent_ends_in_a_sentence(proxy: Faulty) -> None:
    jobs = hurried(proxy, request_seconds=0.3, retry_seconds=3)
    proxy.fault = lambda method, path: "silent"
    with pytest.raises(WarehouseError, match="cannot be reached for project local"):
        jobs.rows("SELECT 1 AS n")
    assert len(proxy.failed) >= 2
    jobs.close()


def test_every_job_has_a_time(jobs: Jobs) -> None:
    names = [f"timed_{time.time_ns()}_{kind}" for kind in ("query", "load")]
    jobs.run("SELECT 1 AS n", job_id=names[0])
    with pytest.raises(WarehouseError):
        jobs.load(io.BytesIO(b"none"), 4, SEQUENCE, [], names[1])
    for job in map(jobs.client.get_job, names):
        assert job._properties["configuration"]["jobTimeoutMs"] == "1800000", job.job_id


def test_a_job_that_does_not_end_in_its_time_is_cancelled(
    proxy: Faulty, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("st_kpi.warehouse.bigquery.client._GRACE_SECONDS", 0)
    slow = hurried(proxy, job_seconds=2)
    name = f"endless_{time.time_ns()}"
    with pytest.raises(WarehouseError, match=rf"did not end in the time it has.*{name}"):
        slow.run(ENDLESS, job_id=name)
    assert stopped(jobs, name)
    slow.close()


def stopped(jobs: Jobs, name: str) -> bool:
    """Whether the job was ended before its time, at once or within seconds."""
    until = time.monotonic() + 10
    while (job := jobs.client.get_job(name)).state != "DONE" and time.monotonic() < until:
        time.sleep(0.1)
    return job.state == "DONE" and bool(job.error_result["reason"] == "stopped")


def test_who_is_interrupted_cancels_the_job(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"interrupted_{time.time_ns()}"

    def interrupt(*args: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bigquery.QueryJob, "result", interrupt)
    with pytest.raises(KeyboardInterrupt):
        jobs.run(ENDLESS, job_id=name)
    assert stopped(jobs, name)


def test_who_is_interrupted_waits_for_no_work_side_by_side(
    url: str, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse = emptied(url)
    since = datetime.now(UTC)
    wait = Future.result

    def interrupted(future: Future[object], timeout: float | None = None) -> object:
        until = time.monotonic() + 20
        while not warehouse._jobs._running and time.monotonic() < until:
            time.sleep(0.05)
        monkeypatch.setattr(Future, "result", wait)
        raise KeyboardInterrupt

    def work() -> None:
        with warehouse.transaction():
            monkeypatch.setattr(Future, "result", interrupted)
            warehouse.side_by_side([lambda: warehouse.replace_table("st_kpi.endless", ENDLESS)])

    with pytest.raises(KeyboardInterrupt):
        work()
    begun = jobs.client.list_jobs(min_creation_time=since)
    (endless,) = [j.job_id for j in begun if "GENERATE_ARRAY" in getattr(j, "query", "")]
    assert stopped(jobs, endless)
    warehouse.close()


def test_who_closes_the_warehouse_cancels_what_other_threads_wait_for(url: str, jobs: Jobs) -> None:
    """A run is cancelled in its main thread, and jobs are waited for in others."""
    others = Jobs(PROJECT, "US", options(url))
    since = datetime.now(UTC)
    name = f"closed_{time.time_ns()}"
    errors: list[str] = []

    def work() -> None:
        try:
            others.run(ENDLESS, job_id=name)
        except WarehouseError as error:
            errors.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    assert at_work(jobs, since) == [name]
    others.close()
    thread.join(20)
    assert errors, "the thread has ended"
    assert stopped(jobs, name)
    with pytest.raises(WarehouseError, match="was closed"):
        others.run("SELECT 1 AS n")


async def test_a_run_that_is_cancelled_cancels_its_jobs(url: str, jobs: Jobs) -> None:
    """As Ctrl-C and Prefect do: the loop is told, and at its end waits for its threads."""
    since = datetime.now(UTC)

    async def run() -> None:
        with open_warehouse("bigquery://local", bigquery=options(url)) as warehouse:
            await asyncio.to_thread(warehouse.execute, f"DELETE FROM {SEQUENCE} WHERE n < ({ENDLESS})")  # fmt: skip

    running = asyncio.create_task(run())
    (name,) = await asyncio.to_thread(at_work, jobs, since)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stopped(jobs, name)


def at_work(jobs: Jobs, since: datetime) -> list[str]:
    """The jobs made since then, once they are at work: the emulator loses a cancellation that comes before."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        time.sleep(0.5)
        made = jobs.client.list_jobs(min_creation_time=since)
        if running := [job.job_id for job in made if job.state == "RUNNING"]:
            time.sleep(0.5)
            return running
    return []


CONFLICTS = [
    ("invalidQuery", "Transaction is aborted due to concurrent update against table local:st_raw.jobs."),
    ("invalidQuery", "Could not serialize access to table local:st_raw.jobs due to concurrent update"),
    ("invalid", "The job encountered an error during execution. Retrying the job may solve the problem."),
    ("resourcesExceeded", "Too many DML statements outstanding against table local:st_raw.jobs, limit is 20."),
    ("invalidQuery", "Query error: Exceeded rate limits: too many table update operations for this table at [12:1]"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "message"), CONFLICTS)
def test_a_conflict_is_tried_again_more_than_five_times(
    proxy: Faulty, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, reason: str, message: str
) -> None:
    """Six times BigQuery gives up this one of two: more often than seconds would have allowed."""
    monkeypatch.setattr("st_kpi.warehouse.bigquery.client._PAUSE_SECONDS", 0.05)
    through = hurried(proxy, request_seconds=10)
    proxy.fault = failing(6, job_says("DONE", reason, message))
    assert through.run(f"SELECT 1 AS n; SELECT n FROM {SEQUENCE}", job_id=f"c_{time.time_ns()}") == [{"n": 1}]  # fmt: skip
    assert len(proxy.failed) == 6
    through.close()


def failing(times: int, fault: Fault) -> Callable[[str, str], Fault]:
    """Of each job that is started, so many times, is told that it failed."""
    left = [times]

    def failing(method: str, path: str) -> Fault:
        if method == "POST" and path.split("?")[0].endswith("/jobs") and left[0]:
            left[0] -= 1
            return fault
        return None

    return failing


def test_a_conflict_that_stays_is_told_in_time(proxy: Faulty) -> None:
    through = hurried(proxy, request_seconds=10, retry_seconds=2)
    proxy.fault = failing(100, job_says("DONE", *CONFLICTS[1]))
    began = time.monotonic()
    with pytest.raises(WarehouseError, match="Another run wrote to the same tables"):
        through.run(f"UPDATE {SEQUENCE} SET n = 3 WHERE TRUE")
    assert time.monotonic() - began < 5
    through.close()


def test_a_job_that_is_there_and_not_yet_known_is_asked_for_again(proxy: Faulty) -> None:
    """Its answer was lost, so it is asked for; another server of BigQuery does not know it for a moment."""
    through = hurried(proxy, request_seconds=10)
    lost = failing(1, "lost")
    unknown = [3]

    def fault(method: str, path: str) -> Fault:
        if method == "GET" and "/jobs/" in path and unknown[0]:
            unknown[0] -= 1
            return (404, "notFound")
        return lost(method, path)

    proxy.fault = fault
    assert through.run("SELECT 1 AS n; SELECT 7 AS n") == [{"n": 7}]
    assert unknown == [0]
    through.close()


def test_what_has_no_rows_is_not_asked_for_any(proxy: Faulty) -> None:
    through = hurried(proxy, request_seconds=10)
    requests: list[str] = []

    def note(method: str, path: str) -> Fault:
        requests.append(f"{method} {path.split('?')[0]}")
        return None

    proxy.fault = note
    through.run(f"UPDATE {SEQUENCE} SET n = 4 WHERE TRUE")
    assert len([request for request in requests if "/queries/" in request]) <= 1
    assert len(requests) <= 4
    through.close()


def test_an_error_of_a_job_is_not_taken_for_one_of_the_way(jobs: Jobs) -> None:
    with pytest.raises(WarehouseError, match="so it is"):
        jobs.run("SELECT ERROR('so it is') AS n")
