"""Records that were refused, and what a person is told of them."""

from collections.abc import Iterable, Mapping
from typing import Any

from st_kpi.ingest import manifest
from st_kpi.ingest.session import Session


def reject_messages(session: Session, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A sentence for each entity with more refused rows than are tolerated: this run's, or still to come right.

    ``rows`` are those of ``manifest.completeness``.
    """
    messages = []
    for row in rows:
        entity = row["entity"]
        refused = max(row["rejected"], len(manifest.outstanding_rejects(session, entity)))
        if refused > session.settings.tolerated_rejects:
            messages.append(
                f"{entity}: {refused:,} rows refused, for example {_example(session, entity)};"
                " st_ops.rejects has them all."
            )
    return messages


def _example(session: Session, entity: str) -> str:
    """Id, field and reason of the last refusal; values stay in the warehouse."""
    (row,) = session.warehouse.query(
        "SELECT source_id, field, reason FROM st_ops.rejects"
        " WHERE tenant_id = @tenant_id AND entity = @entity"
        " ORDER BY rejected_at DESC, source_id LIMIT 1",
        {"tenant_id": session.tenant_id, "entity": entity},
    )
    return f"id {row['source_id']}, field {row['field']}: {row['reason']}"
