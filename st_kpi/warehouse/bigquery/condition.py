"""Whether a project of BigQuery could be written now, found out without writing: rights, location, expirations, billing."""

from collections.abc import Sequence
from dataclasses import replace

from st_kpi.errors import WarehouseError
from st_kpi.warehouse.bigquery import expirations
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.options import BigQueryOptions, project_and_location
from st_kpi.warehouse.bigquery.schema import datasets_of_ours
from st_kpi.warehouse.system_tables import SYSTEM_TABLES

#: A person waits: what does not answer within seconds fails, and a run would try for longer.
_PATIENCE = 15.0
#: What a run does with a table, of which an account may have a part.
_RIGHTS = tuple(
    f"bigquery.tables.{right}" for right in ("getData", "updateData", "update", "delete")
)
_SEEN_IN = "st_ops.chunks"


def require_project(address: str, options: BigQueryOptions) -> str:
    """What is there, in words; raises what stands in the way, each in the order in which a load would meet it."""
    project, location = project_and_location(address)
    jobs = Jobs(
        project, location, replace(options, retry_seconds=_PATIENCE, request_seconds=_PATIENCE)
    )
    try:
        jobs.estimate("SELECT 1 AS n")  # nothing but the right to start jobs
        datasets = datasets_of_ours(jobs)
        ends = expirations.found(jobs, datasets, SYSTEM_TABLES)
        expirations.require_ours(jobs, ends)
        if "st_ops" not in datasets or jobs.table(_SEEN_IN) is None:
            return (
                f"{address}, without tables yet: the first load makes them, for which the account needs"
                " roles/bigquery.dataEditor on the project, and stops before where the project has no billing"
            )
        _require_rights(jobs)
        jobs.estimate(f"DELETE FROM {_SEEN_IN} WHERE FALSE")  # which needs billing
    finally:
        jobs.close()
    return f"{address}, {len(datasets)} datasets there, rights and billing as they must be{_cleared(ends)}"


def _require_rights(jobs: Jobs) -> None:
    """Raise ``WarehouseError`` naming what the account may not do with a table that is there."""
    with jobs.translate_errors():
        answer = jobs.client.test_iam_permissions(
            jobs.reference(_SEEN_IN), _RIGHTS, retry=jobs.retry
        )
    if missing := sorted(set(_RIGHTS) - set(answer.get("permissions", ()))):
        raise WarehouseError(
            f"BigQuery allows this account too little in project {jobs.project}: {', '.join(missing)} on {_SEEN_IN}."
            " Give it roles/bigquery.dataEditor on the project or on the six datasets."
        )


def _cleared(ends: Sequence[expirations.Expiration]) -> str:
    return f"; the next load takes away: {expirations.listed(ends)}" if ends else ""
