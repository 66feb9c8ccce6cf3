"""The contributions of a build that is past, from those of the last one and the log of what changed since."""

from st_kpi.kpis.definitions.columns import STORED_COLUMNS
from st_kpi.kpis.definitions.statements import CONTRIBUTIONS
from st_kpi.kpis.history.statements import CONTRIBUTION_CHANGES


def contributions_at(build: int) -> str:
    """A SELECT of the contributions as build ``build`` left them, and how many ``copies`` of each row.

    Right for every build kept. Snapshot days measured first by a later build are left out.
    """
    listed = ", ".join(STORED_COLUMNS)
    after = ", ".join(f"log.{name}" for name in STORED_COLUMNS)
    return (
        "WITH measured_later AS (SELECT as_of AS day FROM st_ops.builds WHERE measured"
        f" GROUP BY as_of HAVING MIN(build) > {build}),"
        " snapshots AS (SELECT kpi FROM st_ref.dim_kpis WHERE kind = 'snapshot'),"
        f" states AS (SELECT {listed}, 1 AS copies FROM {CONTRIBUTIONS}"
        f" UNION ALL SELECT {after}, -log.copies FROM {CONTRIBUTION_CHANGES} AS log"
        f" WHERE log.build > {build})"
        f" SELECT {listed}, CAST(SUM(copies) AS INT64) AS copies FROM states"
        " WHERE NOT (kpi IN (SELECT kpi FROM snapshots)"
        " AND COALESCE(on_date IN (SELECT day FROM measured_later), FALSE))"
        f" GROUP BY {listed} HAVING SUM(states.copies) <> 0"
    )
