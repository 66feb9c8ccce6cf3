"""The BigQuery warehouse over the wire: layout, loads, publishing, costs, faults and errors."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

from st_kpi.columns import ColumnType
from st_kpi.errors import ConfigurationError, NothingLoaded, StKpiError, WarehouseError
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.tables import raw_tables, record_table
from st_kpi.warehouse import open_warehouse
from st_kpi.warehouse.base import Merged, Reading, Receipt, TypedFiles
from st_kpi.warehouse.bigquery import load
from st_kpi.warehouse.bigquery.client import Jobs, parquet_schema
from st_kpi.warehouse.bigquery.engine import BigQueryWarehouse
from st_kpi.warehouse.bigquery.load import combine
from st_kpi.warehouse.bigquery.options import BigQueryOptions
from st_kpi.warehouse.labels import labels
from st_kpi.windows import Window
from tests.support.bigquery_emulator import PROJECT, opened, options
from tests.support.counted import counted
from tests.support.faulty import Fault, Faulty
from tests.support.loader import Loader, invoice


def staged(jobs: Jobs) -> list[str]:
    """Tables that a transaction or a load has not cleared away."""
    names = [table.table_id for table in jobs.client.list_tables("st_staging")]
    return [name for name in names if name.startswith(("shadow_", "incoming_"))]


def test_raw_tables_are_laid_out_and_described(loader: Loader, jobs: Jobs) -> None:
    table = jobs.table("st_raw.invoices")
    assert table is not None
    assert table.time_partitioning is None
    assert table.clustering_fields == ["tenant_id", "id"]
    assert table.labels == {"app": "st-kpi"}
    assert "invoices" in table.description
    described = {field.name: field.description for field in table.schema}
    assert described["sub_total"] == "subTotal in ServiceTitan."
    assert all(described.values())
    items = jobs.table("st_raw.invoice_items")
    assert items is not None
    assert items.clustering_fields == ["tenant_id", "invoice_id"]
    pay = jobs.table("st_raw.gross_pay_items")
    assert pay is not None
    assert pay.clustering_fields == ["tenant_id", "created_on"]
    dataset = jobs.client.get_dataset("st_raw")
    assert dataset.location == "US"
    assert dataset.labels == {"app": "st-kpi"}
    assert dataset.description


@pytest.mark.parametrize(
    ("columns", "clustered"),
    [
        ("1 AS tenant_id, DATE '2025-01-06' AS week_start, 'leads' AS kpi, 2 AS job_id",
         ["kpi", "tenant_id", "week_start"]),
        ("1 AS tenant_id, 'leads' AS kpi, DATE '2025-01-06' AS on_date, 2 AS job_id",
         ["kpi", "tenant_id", "on_date"]),
        ("DATE '2025-01-06' AS on_date, DATE '2025-01-06' AS week_start, 'East' AS rollup, 'leads' AS kpi, 1 AS tenant_id",
         ["kpi", "tenant_id", "rollup", "on_date"]),
        ("2 AS job_id, DATE '2025-01-06' AS day, 1 AS tenant_id", ["tenant_id", "job_id"]),
        ("1 AS n", None),
    ],
)  # fmt: skip
def test_published_tables_are_laid_out_for_readers(
    loader: Loader, jobs: Jobs, columns: str, clustered: list[str] | None
) -> None:
    loader.warehouse.replace_table("st_kpi.made", f"SELECT {columns}")
    table = jobs.table("st_kpi.made")
    assert table is not None
    assert table.time_partitioning is None
    assert table.clustering_fields == clustered
    assert table.expires is None


def test_nothing_is_asked_twice_where_all_is_as_it_should_be(loader: Loader, proxy: Faulty) -> None:
    requests: list[str] = []

    def note(method: str, path: str) -> Fault:
        requests.append(method)
        return None

    proxy.fault = note
    opened(proxy.url).ensure(raw_tables())
    assert set(requests[2:]) == {"GET"}, (
        "one query, and what costs nothing: six datasets, and a list of tables of five"
    )
    assert len(requests) <= 5 + 11


def test_a_column_that_somebody_changed_is_named_before_anything_is_written(url: str) -> None:
    jobs = Jobs("retyped", "US", options(url))
    jobs.client.create_dataset("st_raw")
    jobs.run("CREATE TABLE st_raw.invoices (tenant_id INT64, id STRING)")
    with pytest.raises(WarehouseError, match=r"Column id of st_raw\.invoices is STRING.* INT64"):
        opened(url, "retyped").ensure(raw_tables())
    assert [d.dataset_id for d in jobs.client.list_datasets()] == ["st_raw"]
    assert [t.table_id for t in jobs.client.list_tables("st_raw")] == ["invoices"]


def test_datasets_elsewhere_are_named(loader: Loader, url: str) -> None:
    with pytest.raises(WarehouseError, match=r"lies in US.* says EU: write location=US"):
        opened(url, location="EU").ensure(raw_tables())


def test_reading_before_the_first_load_says_what_to_do(url: str) -> None:
    with (
        pytest.raises(NothingLoaded, match="st-kpi backfill"),
        open_warehouse("bigquery://empty", read_only=True, bigquery=options(url)),
    ):
        pass


@pytest.mark.parametrize("most", [20_000, 0], ids=["along with the script", "by a load job"])
def test_asked_twice_a_merge_is_done_once(
    loader: Loader, jobs: Jobs, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "_MOST_VALUES", most)
    page = loader.page("invoices", [invoice(1, 5, "100")])
    files = TypedFiles(record_table(REGISTRY["invoices"]), tuple(part.records for part in page))

    def merge() -> Merged:
        return loader.warehouse.merge(files, None, tenant_id=77, window=None)

    since = datetime.now(UTC)
    first = merge()
    loader.warehouse.execute("UPDATE st_raw.invoices SET sub_total = 7 WHERE id = 1")
    done = [
        j.job_id for j in jobs.client.list_jobs(min_creation_time=since) if "invoices" in j.job_id
    ]
    assert merge() == first == Merged(1, 1, 1)
    again = [
        j.job_id for j in jobs.client.list_jobs(min_creation_time=since) if "invoices" in j.job_id
    ]
    assert again == done
    kinds = {"st_kpi_merge"} if most else {"st_kpi_load", "st_kpi_merge"}
    assert {name.split("_invoices_")[0] for name in done} == kinds
    assert staged(jobs) == []
    assert loader.rows("SELECT sub_total FROM st_raw.invoices") == [(7,)]


def test_a_job_that_failed_before_is_tried_under_another_id(jobs: Jobs) -> None:
    with pytest.raises(BadRequest):
        jobs.client.query("SELECT ERROR('no')", job_id="once", job_retry=None).result(
            job_retry=None
        )
    assert jobs.run("SELECT 7 AS n", job_id="once") == [{"n": 7}]
    assert jobs.client.get_job("once_2").state == "DONE"
    assert jobs.run("SELECT 8 AS n", job_id="once") == [{"n": 7}]


def test_json_is_never_loaded_from_parquet() -> None:
    text = bigquery.SchemaField("label", "STRING")
    assert parquet_schema([text]) == [text]
    document = bigquery.SchemaField("_extra", "JSON")
    inner = bigquery.SchemaField("inner", "RECORD", fields=[document])
    for schema in ([text, document], [inner]):
        with pytest.raises(ValueError, match="_extra is JSON"):
            parquet_schema(schema)


def test_files_are_combined_up_to_a_size(tmp_path: Path) -> None:
    loader = Loader(tmp_path, None)  # type: ignore[arg-type]
    pages = [loader.page("invoices", [invoice(n, 5, "1")]) for n in range(6)]
    files = TypedFiles(
        record_table(REGISTRY["invoices"]), tuple(part.records for page in pages for part in page)
    )
    limit = 2 * max(file.stat().st_size for file in files.files)
    columns = [(column.name, column.type) for column in files.table.columns]
    combined = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        combined.append(combine("invoices", columns, files.files, tmp_path / name, limit))
    first, second = combined
    assert len(first) == 3
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


#: A receipt that says how many rows changed, and one that cannot be written.
TOLD = "INSERT INTO st_ops.runs (run_id, detail) SELECT @run_id, CAST(@changed_rows AS STRING)"
REFUSED = "INSERT INTO st_ops.runs (run_id) SELECT CAST(CAST(@run_id AS INT64) AS STRING)"


def test_rows_and_their_receipt_are_kept_together(loader: Loader, jobs: Jobs) -> None:
    """With whatever else was written in the transaction before, by one job."""
    warehouse = loader.warehouse

    def store(sql: str, expected: int | None, *rows: dict[str, Any]) -> Merged:
        with warehouse.transaction():
            warehouse.insert("st_ops.rejects", [{"tenant_id": 77, "entity": "invoices"}])
            receipt = Receipt(sql, {"run_id": "r"}, expected)
            return loader.load("invoices", list(rows), receipt=receipt)

    def kept() -> list[tuple[Any, ...]]:
        return loader.rows(
            "SELECT (SELECT COUNT(*) FROM st_raw.invoices) AS a, (SELECT COUNT(*) FROM st_raw.invoice_items) AS b,"
            " (SELECT COUNT(*) FROM st_ops.rejects) AS c, (SELECT STRING_AGG(detail) FROM st_ops.runs) AS d"
        )

    with pytest.raises(WarehouseError, match="refused a statement"):
        store(REFUSED, None, invoice(1, 5, "100", "7"))
    assert kept() == [(0, 0, 0, None)]
    wrong = store(TOLD, 2, invoice(1, 5, "100", "7"))
    assert (wrong.distinct, wrong.stored) != (2, 2), "whoever expects two sees that they are not"
    assert kept() == [(0, 0, 0, None)]
    since = datetime.now(UTC)
    assert store(TOLD, 1, invoice(1, 5, "100", "7")) == Merged(1, 1, 1)
    assert kept() == [(1, 1, 1, "1")]
    made = [job.job_id for job in jobs.client.list_jobs(min_creation_time=since)]
    assert len([name for name in made if "_merge_" in name or "_publish_" in name]) == 1


def test_where_a_row_is_there_twice_nothing_is_changed(loader: Loader) -> None:
    loader.load("invoices", [invoice(1, 5, "100")])
    loader.warehouse.execute(
        "INSERT INTO st_raw.invoices (tenant_id, id, modified_on)"
        " SELECT tenant_id, id, modified_on FROM st_raw.invoices"
    )
    merged = loader.load("invoices", [invoice(1, 6, "200"), invoice(2, 6, "5")])
    assert merged.stored != merged.distinct
    assert loader.rows("SELECT id, sub_total FROM st_raw.invoices ORDER BY sub_total") == [
        (1, None),
        (1, 100),
    ]


def test_what_changes_nothing_writes_nothing(loader: Loader, url: str) -> None:
    invoices = [invoice(1, 5, "100", "7")]
    pay = [{"id": None, "createdOn": "2025-01-05T00:00:00Z", "jobId": 1, "amount": 3}]
    january = Window(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC))
    reading = Reading(loader.read_at + timedelta(hours=1), "run-9")
    with counted(url) as counter:
        warehouse = opened(counter.url)
        through = Loader(loader.folder / "through", warehouse)
        through.folder.mkdir()

        def ran(*args: Any, **more: Any) -> list[str]:
            counter.clear()
            through.load(*args, **more)
            assert len(counter.jobs()) <= 1, "few rows go along with the script"
            return [s.kind for job in counter.jobs() for s in job.statements]

        writes = {"MERGE", "INSERT", "UPDATE", "DELETE"}
        for entity, rows, more in (
            ("invoices", invoices, {}),
            ("gross_pay_items", pay, {"window": january}),
        ):
            assert writes & set(ran(entity, rows, **more))
            again = ran(entity, rows, everything=reading, **more)
            assert not writes & set(again)
            assert len(again) == 5
        assert ran("invoices", [invoice(2, 5, "1", "7")]) == [
            "BEGIN", "CREATE AS", "SET", "MERGE", "SET", "DELETE", "INSERT", "COMMIT", "SELECT",
        ]  # fmt: skip
        assert ran("invoices") == []
        assert counter.requests == 0
        warehouse.close()


def test_a_merge_stays_where_the_transaction_around_it_fails(loader: Loader, jobs: Jobs) -> None:
    """The rows are there and the manifest does not know: they are fetched again, and nothing changes."""
    rows = [invoice(1, 5, "100", "7")]

    def half_way() -> None:
        with loader.warehouse.transaction():
            loader.load("invoices", rows)
            loader.warehouse.insert("st_ops.chunks", [{"tenant_id": 77, "entity": "invoices"}])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_way()
    assert loader.rows("SELECT COUNT(*) AS n FROM st_ops.chunks") == [(0,)]
    assert loader.load("invoices", rows) == Merged(1, 1, 0)
    assert loader.rows("SELECT total_cost FROM st_raw.invoice_items") == [(7,)]
    assert staged(jobs) == []


def test_a_reader_sees_all_of_a_build_or_nothing(loader: Loader, url: str, jobs: Jobs) -> None:
    warehouse, reader = loader.warehouse, opened(url)
    for table in ("st_kpi.one", "st_kpi.two"):
        warehouse.replace_table(table, "SELECT 1 AS n")
    both = "SELECT one.n AS n, two.n AS m FROM st_kpi.one AS one CROSS JOIN st_kpi.two AS two"
    with warehouse.transaction():
        warehouse.replace_table("st_kpi.one", "SELECT 2 AS n")
        assert warehouse.query(both) == [{"n": 2, "m": 1}]
        assert reader.query(both) == [{"n": 1, "m": 1}]
        warehouse.execute("UPDATE st_kpi.two SET n = 2 WHERE TRUE")
        assert warehouse.query(both) == [{"n": 2, "m": 2}]
        assert reader.query(both) == [{"n": 1, "m": 1}]
        shadows = [jobs.table(f"st_staging.{name}") for name in staged(jobs)]
        assert len(shadows) == 2
        assert [
            s
            for s in shadows
            if s and s.expires and s.expires < datetime.now(UTC) + timedelta(days=3)
        ]
    assert reader.query(both) == [{"n": 2, "m": 2}]
    assert staged(jobs) == []


def test_of_two_builds_at_once_the_later_one_is_refused(
    loader: Loader, url: str, jobs: Jobs
) -> None:
    other = opened(url)
    loader.warehouse.write_table("st_ops.builds", [("build", ColumnType.INT64)], [[1]])

    def build(warehouse: BigQueryWarehouse, started: Event, go_on: Event) -> None:
        with warehouse.transaction():
            (row,) = warehouse.query("SELECT MAX(build) AS last FROM st_ops.builds")
            started.set()
            assert go_on.wait(60)
            warehouse.insert("st_ops.builds", [{"build": row["last"] + 1}])

    first, second = Event(), Event()
    go_on, at_once = Event(), Event()
    at_once.set()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(build, other, first, go_on)
        assert first.wait(60)
        build(loader.warehouse, second, at_once)  # type: ignore[arg-type]
        go_on.set()
        with pytest.raises(WarehouseError, match="has published since this one began"):
            slow.result(60)
    assert loader.rows("SELECT build FROM st_ops.builds ORDER BY build") == [(1,), (2,)]
    assert staged(jobs) == []


def test_who_has_published_is_not_refused_by_its_own_publication(
    loader: Loader, proxy: Faulty
) -> None:
    """The commit is there, and the job is told to have failed for a passing reason: it is started again."""
    warehouse = opened(proxy.url)
    commits: list[str] = []

    def tell(job: Any) -> None:
        name = job["jobReference"]["jobId"]
        if "_publish_" in name and job["status"]["state"] == "DONE" and not name.endswith("_2"):
            commits.append(name)
            job["status"]["errorResult"] = {"reason": "backendError", "message": "Try again"}

    proxy.fault = lambda method, path: tell if "/jobs" in path and "/upload/" not in path else None
    with warehouse.transaction():
        warehouse.replace_table("st_kpi.once", "SELECT 1 AS n")
        warehouse.insert("st_ops.runs", [{"run_id": "once"}])
    assert commits, "it was told to have failed, and was started again"
    assert loader.rows("SELECT n FROM st_kpi.once") == [(1,)]
    assert loader.rows("SELECT run_id FROM st_ops.runs") == [("once",)]


def test_a_table_whose_columns_change_is_reshaped_before_anything_is_published(
    loader: Loader, jobs: Jobs
) -> None:
    """Also a column that it is clustered by; BigQuery replaces a table only by one that is clustered alike."""
    warehouse = loader.warehouse
    warehouse.replace_table("st_kpi.made", "SELECT 1 AS tenant_id, 'leads' AS kpi, '7' AS n")
    other = "SELECT 2 AS tenant_id, CAST(3.5 AS NUMERIC) AS n, 'x' AS label"
    since = datetime.now(UTC)
    warehouse.replace_table("st_kpi.made", other)
    *_, publishing = sorted(
        (j for j in jobs.client.list_jobs(min_creation_time=since) if not j.parent_job_id),
        key=lambda job: job.created,
    )
    assert publishing.job_id.startswith("st_kpi_publish_")
    assert warehouse.query("SELECT * FROM st_kpi.made") == [
        {"tenant_id": 2, "n": Decimal("3.5"), "label": "x"}
    ]
    table = jobs.table("st_kpi.made")
    assert table is not None
    assert table.clustering_fields == ["tenant_id"]


def test_a_build_reads_raw_rows_of_one_moment(loader: Loader, url: str) -> None:
    warehouse, other = loader.warehouse, opened(url)
    loader.load("invoices", [invoice(1, 5, "100")])
    versions = []
    for _ in range(3):
        with warehouse.transaction(of_one_moment=True):
            versions.append(warehouse.versions(["st_raw.invoices"]))
            before = loader.rows("SELECT sub_total FROM st_raw.invoices AS i WHERE i.id = 1")
            other.execute("UPDATE st_raw.invoices SET sub_total = sub_total + 1 WHERE id = 1")
            other.insert("st_ops.runs", [{"run_id": "other"}])
            assert loader.rows("SELECT sub_total FROM st_raw.invoices") == before
            assert loader.rows("SELECT run_id FROM st_ops.runs") == [("other",)] * (
                len(versions) - 1
            )
    assert loader.rows("SELECT sub_total FROM st_raw.invoices") == [(103,)]
    assert len({str(version) for version in versions}) == 3


def test_what_is_written_at_the_end_is_not_read_before(loader: Loader) -> None:
    warehouse = loader.warehouse
    with warehouse.transaction():
        warehouse.insert("st_ops.runs", [{"run_id": "one"}])
        with pytest.raises(ValueError, match=r"st_ops\.runs is written when the transaction ends"):
            warehouse.query("SELECT run_id FROM st_ops.runs")
        # What only the end needs may read it.
        warehouse.replace_table("st_staging.late_costs", "SELECT run_id AS id FROM st_ops.runs")
        warehouse.execute("INSERT INTO st_ops.runs (run_id) SELECT id FROM st_staging.late_costs")
    assert loader.rows("SELECT run_id FROM st_ops.runs") == [("one",), ("one",)]


def test_jobs_have_labels_and_a_ceiling(loader: Loader, jobs: Jobs) -> None:
    since = datetime.now(UTC)
    with labels(flow="build", run="Run/1"), labels(kpi="leads"):
        loader.warehouse.execute("DELETE FROM st_ops.runs WHERE TRUE")
        assert loader.warehouse.estimate("SELECT run_id FROM st_ops.runs") == 0
    (job,) = [j for j in jobs.client.list_jobs(min_creation_time=since) if j.labels.get("kpi")]
    assert job.labels == {"app": "st-kpi", "flow": "build", "run": "run-1", "kpi": "leads"}
    assert job.maximum_bytes_billed == BigQueryOptions().maximum_bytes_billed


@pytest.mark.parametrize(
    "faults",
    [[(429, "rateLimitExceeded"), (503, "backendError")], [(403, "rateLimitExceeded")], ["lost"]],
    ids=["too many requests, then not available", "rate limit", "answers that are lost"],
)
def test_passing_faults_are_waited_out(
    loader: Loader, proxy: Faulty, faults: list[Fault], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each kind of request fails: of tables, jobs, uploads and results."""
    monkeypatch.setattr(load, "_MOST_VALUES", 0)
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds / 20))  # Google's own waits
    warehouse = opened(proxy.url)
    through = Loader(loader.folder / "through", warehouse)
    through.folder.mkdir()
    proxy.first(2 if len(faults) > 1 else 1, *faults)
    assert through.load("invoices", [invoice(1, 5, "100", "7")]) == Merged(1, 1, 1)
    with warehouse.transaction():
        warehouse.insert("st_ops.runs", [{"run_id": "r"}])
    assert any("/upload/" in path for path in proxy.failed)
    assert len(proxy.failed) >= 4
    assert loader.rows("SELECT run_id FROM st_ops.runs") == [("r",)]
    assert loader.rows("SELECT total_cost FROM st_raw.invoice_items") == [(7,)]


CREATE = (
    "Access Denied: Project p: User does not have bigquery.jobs.create permission in project p."
)
TABLES = (
    "Access Denied: Table p:st_raw.jobs: Permission bigquery.tables.updateData denied on table."
)
LIMIT = "Query exceeded limit for bytes billed: 10. 20 or higher required."
BILLING = "Billing has not been enabled for this project. Enable billing at https://console.cloud.google.com/billing."


@pytest.mark.parametrize(
    ("fault", "message", "kind", "words"),
    [
        ((403, "accessDenied"), CREATE, WarehouseError, r"Give it roles/bigquery\.jobUser\."),
        ((403, "accessDenied"), TABLES, WarehouseError, r"st_raw\.jobs.* roles/bigquery\.dataEditor\."),
        ((403, "accessDenied"), "Access Denied", WarehouseError, "dataEditor and .*jobUser"),
        ((403, "quotaExceeded"), "Quota exceeded", WarehouseError, "quota of project local"),
        ((403, "rateLimitExceeded"), "Exceeded rate limits", WarehouseError, "asked too often"),
        ((403, "billingNotEnabled"), BILLING, ConfigurationError, "Enable billing"),
        ((400, "bytesBilledLimitExceeded"), LIMIT, WarehouseError, "ST_KPI_MAXIMUM_BYTES_BILLED"),
        ((401, "authError"), "Invalid Credentials", ConfigurationError, "gcloud auth application-default"),
        ((404, "notFound"), "Not found: Project p", ConfigurationError, "no Google Cloud project local"),
        (
            (404, "notFound"),
            "Not found: Dataset p:st_raw was not found in location US",
            WarehouseError,
            "location=US",
        ),
        ((400, "invalid"), "Invalid project ID: local", ConfigurationError, "'local' is no project id"),
        ((400, "invalidQuery"), "Syntax error", WarehouseError, "refused a statement.*Syntax error"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(
    proxy: Faulty, fault: Fault, message: str, kind: type[StKpiError], words: str
) -> None:
    proxy.fault = lambda method, path: fault
    proxy.message = message
    warehouse = BigQueryWarehouse(PROJECT, options=options(proxy.url, retry_seconds=1))
    with pytest.raises(kind, match=words) as caught:
        warehouse.query("SELECT 1 AS n")
    sentence = str(caught.value)
    assert "http://" not in sentence
    assert "\n" not in sentence


def test_nobody_there_is_said() -> None:
    warehouse = BigQueryWarehouse(PROJECT, options=options("http://127.0.0.1:9", retry_seconds=1))
    with pytest.raises(WarehouseError, match="cannot be reached for project local"):
        warehouse.query("SELECT 1 AS n")


def test_missing_credentials_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "no-key.json"))
    with pytest.raises(ConfigurationError, match=r"gcloud auth application-default.*no-key\.json"):
        BigQueryWarehouse("some-project")


@pytest.mark.parametrize(
    "address", ["http://10.0.0.1:9050", "http://bigquery.example", "ftp://127.0.0.1", "x"]
)
def test_credentials_are_not_sent_in_the_clear(address: str) -> None:
    with pytest.raises(ConfigurationError, match="ST_KPI_BIGQUERY_URL"):
        BigQueryWarehouse("some-project", options=BigQueryOptions(url=address))


def test_a_record_whose_created_on_is_another_is_the_same_record(loader: Loader) -> None:
    loader.load("invoices", [invoice(1, 5, "100")])
    moved = invoice(1, 6, "200") | {"createdOn": "2024-06-01T00:00:00Z"}
    undated = invoice(2, 6, "5") | {"createdOn": None}
    assert loader.load("invoices", [moved, undated]) == Merged(2, 2, 2)
    dated = invoice(2, 7, "6")
    assert loader.load("invoices", [dated]) == Merged(1, 1, 1)
    months = loader.rows(
        "SELECT id, sub_total, DATE(created_on) AS day FROM st_raw.invoices ORDER BY id"
    )
    assert months == [(1, 200, date(2024, 6, 1)), (2, 6, date(2025, 1, 1))]
