"""Tables no SQL file fills: what was promised, fetched and stored, and the history of the builds."""

from st_kpi.columns import ColumnType as T

#: The schemas of a warehouse; datasets, as BigQuery calls them.
SCHEMAS = ("st_raw", "st_staging", "st_ref", "st_dim", "st_kpi", "st_ops")
#: What each statement of a build read and made when it ran last: of use only where it was written.
STATEMENT_STATES = "st_ops.statement_states"

#: The watermark of each entity: every one that was written is kept.
LATEST_MARKS = (
    "SELECT tenant_id, entity, token, modified_on, known_until, run_id FROM st_ops.watermarks"
    " WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY tenant_id, entity ORDER BY saved_at DESC) = 1"
)
#: Until when each entity is known, by the source's clock. Later loads of an entity read by windows only add windows, so
#: what is known of all of it dates from the first of them, until a sync brings it forward; an entity read whole is known
#: as of its latest load.
KNOWN_UNTIL = (
    "SELECT loaded.tenant_id, loaded.entity, loaded.newest_change,"
    " GREATEST(loaded.known_until, COALESCE(mark.known_until, loaded.known_until)) AS known_until"
    " FROM (SELECT tenant_id, entity, MAX(max_modified_on) AS newest_change,"
    " IF(MIN(kind) = 'whole', MAX(server_time), MIN(server_time)) AS known_until"
    " FROM st_ops.chunks WHERE kind IN ('created', 'whole') GROUP BY tenant_id, entity) AS loaded"
    f" LEFT JOIN ({LATEST_MARKS}) AS mark"
    " ON mark.tenant_id = loaded.tenant_id AND mark.entity = loaded.entity"
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
        ("vanished", T.INT64),
        ("missed", T.INT64),
        ("max_modified_on", T.TIMESTAMP),
        ("server_time", T.TIMESTAMP),
        ("run_id", T.STRING),
        ("started_at", T.TIMESTAMP),
        ("finished_at", T.TIMESTAMP),
    ),
    "st_ops.watermarks": (
        ("tenant_id", T.INT64),
        ("entity", T.STRING),
        ("token", T.STRING),
        ("modified_on", T.TIMESTAMP),
        ("known_until", T.TIMESTAMP),
        ("run_id", T.STRING),
        ("saved_at", T.TIMESTAMP),
    ),
    "st_ops.outside_history": (
        ("tenant_id", T.INT64),
        ("entity", T.STRING),
        ("older", T.INT64),
        ("undated", T.INT64),
        ("first_loaded", T.TIMESTAMP),
        ("counted_at", T.TIMESTAMP),
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
        ("resolved_at", T.TIMESTAMP),
    ),
    "st_ops.schema_drift": (
        ("tenant_id", T.INT64),
        ("entity", T.STRING),
        ("field", T.STRING),
        ("run_id", T.STRING),
        ("first_seen_at", T.TIMESTAMP),
        ("last_seen_at", T.TIMESTAMP),
    ),
    "st_ops.check_results": (
        ("run_id", T.STRING),
        ("check_name", T.STRING),
        ("severity", T.STRING),
        ("failed_rows", T.INT64),
        ("detail", T.STRING),
        ("checked_at", T.TIMESTAMP),
    ),
    "st_ops.reconciliations": (
        ("reconciliation_id", T.STRING),
        ("tenant_id", T.INT64),
        ("kpi", T.STRING),
        ("week_start", T.DATE),
        ("first_day", T.DATE),
        ("last_day", T.DATE),
        ("rollup", T.STRING),
        ("kind", T.STRING),
        ("report", T.STRING),
        ("report_identity", T.STRING),
        ("filters", T.STRING),
        ("date_type", T.STRING),
        ("pulled_at", T.TIMESTAMP),
        ("compared_at", T.TIMESTAMP),
        ("build", T.INT64),
        ("known_until", T.TIMESTAMP),
        ("set_aside", T.INT64),
        ("matched", T.INT64),
        ("amount_differs", T.INT64),
        ("only_there", T.INT64),
        ("only_here", T.INT64),
        ("other_week", T.INT64),
        ("other_unit", T.INT64),
        ("counted_twice", T.INT64),
        ("there", T.NUMERIC),
        ("here", T.NUMERIC),
        ("gap_value", T.NUMERIC),
        ("gap_numerator", T.NUMERIC),
        ("gap_denominator", T.NUMERIC),
    ),
    "st_ops.reconciliation_rows": (
        ("reconciliation_id", T.STRING),
        ("tenant_id", T.INT64),
        ("row_key", T.STRING),
        ("business_unit", T.STRING),
        ("verdict", T.STRING),
        ("measure", T.STRING),
        ("there", T.NUMERIC),
        ("here", T.NUMERIC),
        ("cause", T.STRING),
    ),
    "st_ops.accepted_checks": (
        ("run_id", T.STRING),
        ("check_name", T.STRING),
        ("subject", T.STRING),
        ("reason", T.STRING),
        ("valid_to", T.DATE),
        ("checked_at", T.TIMESTAMP),
    ),
}

#: One row of ``st_kpi.contributions``, as the logs keep it.
_CONTRIBUTION = (
    ("tenant_id", T.INT64),
    ("kpi", T.STRING),
    ("part", T.STRING),
    ("on_date", T.DATE),
    ("business_unit_id", T.INT64),
    ("source_entity", T.STRING),
    ("source_id", T.INT64),
    ("job_id", T.INT64),
    ("amount", T.NUMERIC),
    ("reason", T.STRING),
    ("component", T.STRING),
)
_CELL = (
    ("tenant_id", T.INT64),
    ("kpi", T.STRING),
    ("rollup", T.STRING),
    ("role", T.STRING),
    ("week_start", T.DATE),
)

#: What the builds leave behind besides the numbers themselves. A log has rows only for what a build
#: changed; ``copies`` is how many equal rows came (positive) or went (negative).
HISTORY: dict[str, tuple[tuple[str, T], ...]] = {
    "st_ops.builds": (
        ("build", T.INT64),
        ("run_id", T.STRING),
        ("as_of", T.DATE),
        ("built_at", T.TIMESTAMP),
        ("input_watermark", T.TIMESTAMP),
        ("measured", T.BOOL),
        ("definitions", T.STRING),
        ("settings", T.STRING),
        ("mappings", T.STRING),
        ("pay_known_until", T.TIMESTAMP),
        ("loaded_until", T.TIMESTAMP),
    ),
    STATEMENT_STATES: (
        ("name", T.STRING),
        ("definition", T.STRING),
        ("inputs", T.STRING),
        ("output", T.STRING),
    ),
    "st_ops.seen_rows": (("entity", T.STRING), ("tenant_id", T.INT64), ("id", T.INT64)),
    "st_ops.mapping_changes": (
        ("build", T.INT64),
        ("copies", T.INT64),
        ("tenant_id", T.INT64),
        ("business_unit_id", T.INT64),
        ("rollup", T.STRING),
        ("role", T.STRING),
        ("valid_from", T.DATE),
        ("valid_to", T.DATE),
    ),
    "st_kpi.contribution_changes": (
        ("build", T.INT64),
        ("copies", T.INT64),
        ("cause", T.STRING),
        *_CONTRIBUTION,
    ),
    "st_kpi.kpi_changes": (
        ("build", T.INT64),
        *_CELL,
        ("part", T.STRING),
        ("cause", T.STRING),
        ("amount", T.NUMERIC),
        ("source_rows", T.INT64),
    ),
    "st_kpi.kpi_reported": (
        *_CELL,
        ("numerator", T.NUMERIC),
        ("denominator", T.NUMERIC),
        ("value", T.NUMERIC),
        ("reported_as_of", T.DATE),
        ("run_id", T.STRING),
        ("definition_version", T.INT64),
        ("kind", T.STRING),
        ("cause", T.STRING),
        ("input_watermark", T.TIMESTAMP),
        ("build", T.INT64),
    ),
    "st_ops.reported_weeks": (
        ("tenant_id", T.INT64),
        ("kpi", T.STRING),
        ("week_start", T.DATE),
        ("build", T.INT64),
    ),
}

#: Every table that no SQL file fills and no entity becomes.
SYSTEM_TABLES = OPERATIONS | HISTORY

#: Tables that hold something only while a build is under way, and those named after a table that is compared.
SCRATCH = frozenset(
    f"st_staging.{name}"
    for name in (
        "change_steps",
        "changed_contributions",
        "changed_sources",
        "classified_changes",
        "counted",
        "late_costs",
        "moved_rows",
        "previous_bu_rollup",
        "previous_job_types",
        "previous_weekly",
        "unseen_rows",
    )
)
_DIFFERENCES = "st_staging.changed_rows_"


def differences_of(table: str) -> str:
    """The scratch table of the rows of ``table`` that a build changes."""
    return f"{_DIFFERENCES}{table.replace('.', '_')}"


def is_scratch(table: str) -> bool:
    """Whether a table is of no use after the build that made it."""
    return table in SCRATCH or table.startswith(_DIFFERENCES)
