"""The scripts that bring staged rows into a raw table, each one transaction that ends with its counts.

A table is kept by the month of ``created_on``; a merge first finds out which months its rows are in, so that the
others are neither read nor written.
"""

from st_kpi.columns import RawTable
from st_kpi.warehouse.bigquery.values import parsed, quoted

#: When a version was written: modified_on may be null in the source, and a null version is the oldest.
_VERSION = "COALESCE({0}.modified_on, {0}.created_on, TIMESTAMP '1970-01-01 00:00:00+00')"

_COUNTS = """\
DECLARE distinct_rows INT64;
DECLARE stored_rows INT64;
DECLARE changed_rows INT64;
DECLARE vanished_rows INT64 DEFAULT 0;
"""
_MONTHS = "DECLARE first_created TIMESTAMP;\nDECLARE last_created TIMESTAMP;\n"
_NEAR = "(t.created_on BETWEEN first_created AND last_created OR t.created_on IS NULL)"
_RESULT = """\
SELECT distinct_rows AS `distinct`, stored_rows AS stored, changed_rows AS changed, vanished_rows AS vanished;
"""


def newest_script(
    table: RawTable,
    staging: str,
    lines: RawTable | None,
    staged_lines: str,
    *,
    windowed: bool,
    everything: bool,
) -> str:
    """Keep one version per key of the staged rows, take those that are newer, and the lines that belong to them.

    Of two versions that differ at equal age, which the source cannot order, the one read later is its last word.
    Where a row is not there afterwards, or is there twice, nothing is changed, and the counts say so.
    """
    statements = [
        _choose_versions(table, staging),
        "SET distinct_rows = (SELECT COUNT(*) FROM incoming)",
        "BEGIN TRANSACTION",
        *_find_months(table),
        *_take_newer(table),
    ]
    if lines is not None:
        statements += _replace_lines(lines, staged_lines)
    if everything:
        statements += _mark_vanished(table, windowed)
    statements.append(
        "IF stored_rows = distinct_rows THEN COMMIT TRANSACTION; ELSE ROLLBACK TRANSACTION; END IF"
    )
    return f"{_COUNTS}{_MONTHS}" + ";\n".join(statements) + f";\n{_RESULT}"


def window_script(table: RawTable, staging: str, *, windowed: bool) -> str:
    """Rows without a key: the window's rows become the staged ones; equal rows are told apart by their number.

    Of equal rows no single one can be deleted: where there are too many, all go, and those that stay come back.
    """
    target, names, where = table.qualified, quoted(table.column_names), _within(windowed)
    number = "ROW_NUMBER() OVER (PARTITION BY _content_hash ORDER BY _loaded_at) AS occurrence"
    statements = [
        f"CREATE TEMP TABLE incoming AS SELECT {parsed(table.typed_columns, 'f')}, {number} FROM {staging} AS f",
        "SET distinct_rows = (SELECT COUNT(*) FROM incoming)",
        "BEGIN TRANSACTION",
        f"CREATE TEMP TABLE present AS SELECT {names}, {number} FROM {target} WHERE {where}",
        """\
CREATE TEMP TABLE copies AS
SELECT _content_hash, SUM(before) AS before, SUM(after) AS after FROM (
  SELECT _content_hash, 1 AS before, 0 AS after FROM present
  UNION ALL SELECT _content_hash, 0 AS before, 1 AS after FROM incoming
) AS both_sides
GROUP BY _content_hash""",
        "SET changed_rows = (SELECT COALESCE(SUM(after - before), 0) FROM copies WHERE after > before)",
        "SET vanished_rows = (SELECT COALESCE(SUM(before - after), 0) FROM copies WHERE before > after)",
        f"""\
DELETE FROM {target} WHERE {where}
  AND _content_hash IN (SELECT _content_hash FROM copies WHERE before > after)""",
        f"""\
INSERT INTO {target} ({names})
SELECT {quoted(table.column_names, "p")} FROM present AS p JOIN copies AS c ON c._content_hash = p._content_hash
WHERE c.before > c.after AND p.occurrence <= c.after""",
        f"""\
INSERT INTO {target} ({names})
SELECT {quoted(table.column_names, "i")} FROM incoming AS i JOIN copies AS c ON c._content_hash = i._content_hash
WHERE i.occurrence > c.before""",
        f"SET stored_rows = (SELECT COUNT(*) FROM {target} WHERE {where})",
        "COMMIT TRANSACTION",
    ]
    return _COUNTS + ";\n".join(statements) + f";\n{_RESULT}"


def _choose_versions(table: RawTable, staging: str) -> str:
    """Of each key the staged row that counts."""
    return f"""\
CREATE TEMP TABLE incoming AS
SELECT {parsed(table.typed_columns, "f")} FROM {staging} AS f
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY tenant_id, {table.key}
  ORDER BY {_VERSION.format("f")} DESC, _loaded_at DESC, _content_hash DESC
) = 1"""


def _find_months(table: RawTable) -> list[str]:
    """Between which days the incoming rows and those of the same keys were created."""
    return [
        f"""\
SET {variable} = (
  SELECT {bound}(met.created_on) FROM (
    SELECT created_on FROM incoming
    UNION ALL SELECT t.created_on FROM {table.qualified} AS t JOIN incoming AS i ON {_same(table)}
  ) AS met
)"""
        for variable, bound in (("first_created", "MIN"), ("last_created", "MAX"))
    ]


def _take_newer(table: RawTable) -> list[str]:
    """The incoming versions that are newer than those of the table."""
    target, same = table.qualified, _same(table)
    incoming, present = _VERSION.format("i"), _VERSION.format("t")
    updates = ", ".join(f"`{name}` = i.`{name}`" for name in table.column_names)
    return [
        f"""\
CREATE TEMP TABLE accepted AS
SELECT i.* FROM incoming AS i LEFT JOIN {target} AS t ON {same} AND {_NEAR}
WHERE t.{table.key} IS NULL OR {incoming} > {present}
  OR (
    {incoming} = {present}
    AND i._content_hash <> t._content_hash AND i._loaded_at >= t._loaded_at
  )""",
        f"""\
MERGE {target} AS t USING accepted AS i ON {same} AND {_NEAR}
WHEN MATCHED THEN UPDATE SET {updates}
WHEN NOT MATCHED THEN INSERT ({quoted(table.column_names)}) VALUES ({quoted(table.column_names, "i")})""",
        "SET changed_rows = (SELECT COUNT(*) FROM accepted)",
        f"SET stored_rows = (SELECT COUNT(*) FROM {target} AS t JOIN incoming AS i ON {same})",
    ]


def _same(table: RawTable) -> str:
    """That a row of the table has the key of an incoming one."""
    return f"t.tenant_id = i.tenant_id AND t.{table.key} = i.{table.key}"


def _replace_lines(lines: RawTable, staging: str) -> list[str]:
    """Lines belong to one version of their record and come and go with it."""
    target, parent = lines.qualified, lines.key
    return [
        f"""\
DELETE FROM {target} AS t
WHERE EXISTS (SELECT 1 FROM accepted AS a WHERE a.tenant_id = t.tenant_id AND a.id = t.{parent})""",
        # One record may stand in the files twice, so the lines of the chosen version are taken once.
        f"""\
INSERT INTO {target} ({quoted(lines.column_names)})
SELECT {parsed(lines.typed_columns, "f")} FROM {staging} AS f
JOIN accepted AS a
  ON a.tenant_id = f.tenant_id AND a.id = f.{parent} AND a._content_hash = f._content_hash
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY f.tenant_id, f.{parent}, f.line ORDER BY f._loaded_at) = 1""",
    ]


def _mark_vanished(table: RawTable, windowed: bool) -> list[str]:
    """Rows that the source, just merged, no longer has; one that comes back is taken again."""
    condition = (
        f"{_within(windowed)} AND COALESCE(active, TRUE) AND _loaded_at < @read_at"
        f" AND {table.key} NOT IN (SELECT {table.key} FROM incoming)"
    )
    return [
        f"SET vanished_rows = (SELECT COUNT(*) FROM {table.qualified} WHERE {condition})",
        f"""\
UPDATE {table.qualified}
SET active = FALSE, _content_hash = 'vanished', _loaded_at = @read_at, _run_id = @run_id
WHERE {condition}""",
    ]


def _within(windowed: bool) -> str:
    """The condition for a tenant's rows created within the window."""
    window = " AND created_on >= @window_start AND created_on < @window_end" if windowed else ""
    return f"tenant_id = @tenant_id{window}"
