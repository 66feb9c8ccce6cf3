"""What BigQuery did for us, as figures and messages: jobs, times, bytes, refusals. No SQL, no rows, no names of people."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from google.cloud import bigquery

from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.schema import datasets_of_ours

Record = dict[str, Any]


def jobs_since(jobs: Jobs, since: datetime) -> list[Record]:
    """Every job of ours that was made since then, the oldest first, and after each script the statements it ran."""
    with jobs.translate_errors():
        made = [
            job
            for job in jobs.client.list_jobs(min_creation_time=since, retry=jobs.retry)
            if (getattr(job, "labels", None) or {}).get("app") == "st-kpi"
            and job.parent_job_id is None  # those come with their scripts
        ]
        made.sort(key=lambda job: job.created)
        return [record for job in made for record in _with_statements(jobs, job)]


def tables_of_ours(jobs: Jobs) -> list[Record]:
    """Every table of our datasets with its size and how it is laid out."""
    with jobs.translate_errors():
        listed = [
            jobs.client.get_table(item.reference, retry=jobs.retry)
            for name in sorted(datasets_of_ours(jobs))
            for item in jobs.client.list_tables(name, retry=jobs.retry)
        ]
    return [
        {
            "table": f"{table.dataset_id}.{table.table_id}",
            "rows": table.num_rows,
            "bytes": table.num_bytes,
            "partitioned": table.time_partitioning and table.time_partitioning.type_,
            "clustered": table.clustering_fields,
            "expires": table.expires and table.expires.isoformat(),
        }
        for table in listed
    ]


def _with_statements(jobs: Jobs, job: Any) -> Iterator[Record]:
    yield _record(job, None)
    if job.num_child_jobs:
        children = jobs.client.list_jobs(parent_job=job.job_id, retry=jobs.retry)
        for child in sorted(children, key=lambda child: child.created):
            yield _record(child, job.job_id)


def _record(job: Any, parent: str | None) -> Record:
    error = job.error_result or {}
    return {
        "job": job.job_id,
        "parent": parent,
        "kind": job.job_type,
        "statement": getattr(job, "statement_type", None),
        "created": job.created.isoformat(),
        "waited_ms": _milliseconds(job.created, job.started),
        "ran_ms": _milliseconds(job.started, job.ended),
        "slot_ms": getattr(job, "slot_millis", None),
        "bytes_processed": getattr(job, "total_bytes_processed", None),
        "bytes_billed": getattr(job, "total_bytes_billed", None),
        "cached": getattr(job, "cache_hit", None),
        "ceiling": getattr(job, "maximum_bytes_billed", None),
        "rows": getattr(job, "num_dml_affected_rows", None)
        if isinstance(job, bigquery.QueryJob)
        else getattr(job, "output_rows", None),
        "labels": dict(job.labels or {}),
        "state": job.state,
        "reason": error.get("reason"),
        "message": error.get("message"),
    }


def _milliseconds(begin: datetime | None, end: datetime | None) -> int | None:
    return int((end - begin).total_seconds() * 1_000) if begin and end else None
