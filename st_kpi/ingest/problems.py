"""What a run has to tell a person at its end: a sentence for each thing that is missing."""

from collections.abc import Iterable, Mapping
from typing import Any

from st_kpi.errors import EntityUnavailable, StKpiError
from st_kpi.ingest import manifest
from st_kpi.ingest.session import Session


def of_error(session: Session, entity: str, error: BaseException) -> str | None:
    """The sentence for an entity that failed; None where it is unavailable and declared optional.

    What no code of ours raised on purpose, a cancellation for example, is raised again.
    """
    if isinstance(error, EntityUnavailable) and entity in session.settings.optional_entities:
        return None
    if isinstance(error, StKpiError):
        return str(error) if entity in str(error) else f"{entity}: {error}"
    if isinstance(error, Exception):
        return f"{entity}: {type(error).__name__}: {error}"
    raise error


def of_rejects(session: Session, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each entity with more refused rows than are tolerated: this run's, or still to come right.

    ``rows`` are those of ``manifest.completeness``.
    """
    found = []
    for row in rows:
        entity = row["entity"]
        refused = max(row["rejected"], len(manifest.outstanding_rejects(session, entity)))
        if refused > session.settings.tolerated_rejects:
            found.append(
                f"{entity}: {refused:,} rows refused, for example {_example(session, entity)};"
                " st_ops.rejects has them all."
            )
    return found


def _example(session: Session, entity: str) -> str:
    """Id, field and reason of the last refusal; values stay in the warehouse."""
    (row,) = session.warehouse.query(
        "SELECT source_id, field, reason FROM st_ops.rejects"
        " WHERE tenant_id = @tenant_id AND entity = @entity"
        " ORDER BY rejected_at DESC, source_id LIMIT 1",
        {"tenant_id": session.tenant_id, "entity": entity},
    )
    return f"id {row['source_id']}, field {row['field']}: {row['reason']}"
