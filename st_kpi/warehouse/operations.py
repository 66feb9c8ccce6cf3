"""The tables of ``st_ops``: what was promised, fetched and stored, and what could not be."""

from st_kpi.servicetitan.schema import ColumnType as T

#: Until when each entity is known, by the source's clock. Later loads of an entity read by windows only add windows,
#: so what is known of all of it dates from the first; an entity read whole is known as of its latest load.
KNOWN_UNTIL = (
    "SELECT tenant_id, entity, IF(MIN(kind) = 'whole', MAX(server_time), MIN(server_time)) AS known_until,"
    " MAX(max_modified_on) AS newest_change FROM st_ops.chunks GROUP BY tenant_id, entity"
)

OPERATIONS: dict[str, tuple[tuple[str, T], ...]] = {
    "st_ops.runs": (
        ("run_id", T.STRING),
        ("tenant_id", T.INT64),
        ("flow", T.STRING),
        ("status", T.STRING),
        ("started_at", T.TIMESTAMP),
        ("finished_at", T.TIMESTAMP),
        ("detail", T.STRING),
    ),
    "st_ops.chunks": (
        ("tenant_id", T.INT64),
        ("entity", T.STRING),
        ("kind", T.STRING),
        ("typing", T.STRING),
        ("window_start", T.TIMESTAMP),
        ("window_end", T.TIMESTAMP),
        ("promised", T.INT64),
        ("fetched", T.INT64),
        ("distinct_rows", T.INT64),
        ("stored", T.INT64),
        ("changed", T.INT64),
        ("rejected", T.INT64),
        ("max_modified_on", T.TIMESTAMP),
        ("server_time", T.TIMESTAMP),
        ("run_id", T.STRING),
        ("started_at", T.TIMESTAMP),
        ("finished_at", T.TIMESTAMP),
    ),
    "st_ops.rejects": (
        ("tenant_id", T.INT64),
        ("entity", T.STRING),
        ("source_id", T.STRING),
        ("field", T.STRING),
        ("value", T.STRING),
        ("reason", T.STRING),
        ("run_id", T.STRING),
        ("rejected_at", T.TIMESTAMP),
    ),
    "st_ops.schema_drift": (
        ("tenant_id", T.INT64),
        ("entity", T.STRING),
        ("field", T.STRING),
        ("run_id", T.STRING),
        ("seen_at", T.TIMESTAMP),
    ),
    "st_ops.check_results": (
        ("run_id", T.STRING),
        ("check_name", T.STRING),
        ("severity", T.STRING),
        ("failed_rows", T.INT64),
        ("detail", T.STRING),
        ("checked_at", T.TIMESTAMP),
    ),
}
