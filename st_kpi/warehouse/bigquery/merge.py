"""The scripts that bring rows into a raw table, each one transaction that ends with its counts.

``source`` is where a FROM finds the rows, None where there are none.

A row that is as it was is not touched, and where none is to be written no statement tries: one that changes nothing is
billed too, and stands in the way of others that change the table. ``then`` are statements that record the merge, with
the counts as variables: they are kept with its rows or are not run.
"""

import re
from collections.abc import Sequence

from st_kpi.columns import RawTable
from st_kpi.warehouse.bigquery.values import parsed, quoted

#: When a version was written: modified_on may be null in the source, and a null version is the oldest.
_VERSION = "COALESCE({0}.modified_on, {0}.created_on, TIMESTAMP '1970-01-01 00:00:00+00')"

#: Unlike each other, so that they never agree before they have been counted.
_COUNTS = """\
DECLARE distinct_rows INT64 DEFAULT 0;
DECLARE stored_rows INT64 DEFAULT -1;
DECLARE changed_rows INT64 DEFAULT 0;
DECLARE vanished_rows INT64 DEFAULT 0;
DECLARE new_rows INT64 DEFAULT 0;
"""
_RESULT = """\
SELECT distinct_rows AS `distinct`, stored_rows AS stored, changed_rows AS changed, vanished_rows AS vanished;
"""


def newest_script(
    table: RawTable,
    source: str | None,
    lines: RawTable | None,
    source_of_lines: str | None,
    *,
    windowed: bool,
    everything: bool,
    expected: bool = False,
    then: Sequence[str] = (),
) -> str:
    """Keep one version per key of the rows, take those that are newer, and the lines that belong to them.

    Of two versions that differ at equal age, which the source cannot order, the one read later is its last word.
    Where a row would not be there afterwards, or is there twice, nothing is changed, and the counts say so.
    """
    vanished = _vanished(table, source, windowed) if everything else None
    counts = {"stored_rows": "0"}
    statements = ["BEGIN TRANSACTION"]
    if source:
        statements.append(_incoming(table, source))
        counts = {
            "distinct_rows": f"(SELECT COUNT(DISTINCT {table.key}) FROM incoming)",
            # A key that the table has twice has met an incoming row twice: those are too many, however few are to come.
            "stored_rows": f"(SELECT IF(COUNT(*) > COUNT(DISTINCT {table.key}), COUNT(*), COUNTIF(known)) FROM incoming)",
            "changed_rows": "(SELECT COUNTIF(accepted) FROM incoming)",
            "new_rows": "(SELECT COUNTIF(NOT known) FROM incoming)",
        }
    if vanished:
        counts["vanished_rows"] = f"(SELECT COUNT(*) FROM {table.qualified} WHERE {vanished})"
    statements.append(_set(counts))
    if source:
        written = _take_newer(table)
        if lines is not None and source_of_lines is not None:
            written += _replace_lines(lines, source_of_lines)
        statements.append(
            _if("changed_rows > 0 AND stored_rows + new_rows = distinct_rows", written)
        )
    if vanished:
        statements.append(_if("vanished_rows > 0", [_mark_vanished(table, vanished)]))
    return _script(statements, expected, then)


def window_script(
    table: RawTable,
    source: str | None,
    *,
    windowed: bool,
    expected: bool = False,
    then: Sequence[str] = (),
) -> str:
    """Rows without a key: the window's rows become those of the source; equal rows are told apart by their number.

    Of equal rows no single one can be deleted: where there are too many, all go, and those that stay come back.
    """
    target, names, where = table.qualified, quoted(table.column_names), _within(windowed)
    hashes = f"SELECT _content_hash, 1 AS before, 0 AS after FROM {target} WHERE {where}"
    if source:
        hashes += (
            f"\n  UNION ALL SELECT f._content_hash, 0 AS before, 1 AS after FROM {source} AS f"
        )
    number = "ROW_NUMBER() OVER (PARTITION BY {0}._content_hash ORDER BY {0}._loaded_at)"
    statements = [
        "BEGIN TRANSACTION",
        f"""\
CREATE TEMP TABLE copies AS
SELECT _content_hash, SUM(before) AS before, SUM(after) AS after FROM (
  {hashes}
) AS both_sides
GROUP BY _content_hash""",
        _set(
            {
                "distinct_rows": "(SELECT COALESCE(SUM(after), 0) FROM copies)",
                "stored_rows": "(SELECT COALESCE(SUM(before), 0) FROM copies)",
                "changed_rows": "(SELECT COALESCE(SUM(after - before), 0) FROM copies WHERE after > before)",
                "vanished_rows": "(SELECT COALESCE(SUM(before - after), 0) FROM copies WHERE before > after)",
            }
        ),
        _if(
            "vanished_rows > 0",
            [
                f"""\
CREATE TEMP TABLE kept AS
SELECT {quoted(table.column_names, "t")} FROM {target} AS t JOIN copies AS c ON c._content_hash = t._content_hash
WHERE c.before > c.after AND c.after > 0 AND {where}
QUALIFY {number.format("t")} <= c.after""",
                f"""\
DELETE FROM {target} WHERE {where}
  AND _content_hash IN (SELECT _content_hash FROM copies WHERE before > after)""",
                "SET stored_rows = stored_rows - @@row_count",
                f"INSERT INTO {target} ({names}) SELECT {names} FROM kept",
                "SET stored_rows = stored_rows + @@row_count",
            ],
        ),
    ]
    if source:
        statements.append(
            _if(
                "changed_rows > 0",
                [
                    f"""\
INSERT INTO {target} ({names})
SELECT {parsed(table.typed_columns, "f")} FROM {source} AS f JOIN copies AS c ON c._content_hash = f._content_hash
WHERE c.after > c.before
QUALIFY {number.format("f")} > c.before""",
                    "SET stored_rows = stored_rows + @@row_count",
                ],
            )
        )
    return _script(statements, expected, then)


def with_counts(sql: str) -> str:
    """A statement for ``then``, of which the counts are parameters."""
    return re.sub(r"@((?:distinct|stored|changed|vanished)_rows)\b", r"\1", sql)


def _script(statements: Sequence[str], expected: bool, then: Sequence[str]) -> str:
    complete = "stored_rows = distinct_rows" + (
        " AND distinct_rows = @expected" if expected else ""
    )
    kept = "".join(f"{statement};\n" for statement in [*then, "COMMIT TRANSACTION"])
    end = f"IF {complete} THEN\n{kept}ELSE\nROLLBACK TRANSACTION;\nEND IF"
    return _COUNTS + ";\n".join([*statements, end]) + f";\n{_RESULT}"


def _set(values: dict[str, str]) -> str:
    if len(values) == 1:
        ((name, value),) = values.items()
        return f"SET {name} = {value}"
    return f"SET ({', '.join(values)}) = (\n  " + ",\n  ".join(values.values()) + "\n)"


def _if(condition: str, statements: Sequence[str]) -> str:
    return f"IF {condition} THEN\n" + "".join(f"{each};\n" for each in statements) + "END IF"


def _incoming(table: RawTable, source: str) -> str:
    """Of each key the row that counts, whether the table knows the key, and whether the row is to be written."""
    incoming, present = _VERSION.format("i"), _VERSION.format("t")
    return f"""\
CREATE TEMP TABLE incoming AS
SELECT i.*, t.{table.key} IS NOT NULL AS known, t.{table.key} IS NULL OR {incoming} > {present}
  OR (
    {incoming} = {present}
    AND i._content_hash <> t._content_hash AND i._loaded_at >= t._loaded_at
  ) AS accepted
FROM (
  SELECT {parsed(table.typed_columns, "f")} FROM {source} AS f
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY f.tenant_id, f.{table.key}
    ORDER BY {_VERSION.format("f")} DESC, f._loaded_at DESC, f._content_hash DESC
  ) = 1
) AS i
LEFT JOIN {table.qualified} AS t ON {_same(table)}"""


def _take_newer(table: RawTable) -> list[str]:
    """Write the versions that are newer than those of the table, each a row that is new or one that is there."""
    names = table.column_names
    updates = ", ".join(f"`{name}` = i.`{name}`" for name in names)
    return [
        f"""\
MERGE {table.qualified} AS t USING (SELECT {quoted(names)} FROM incoming WHERE accepted) AS i ON {_same(table)}
WHEN MATCHED THEN UPDATE SET {updates}
WHEN NOT MATCHED THEN INSERT ({quoted(names)}) VALUES ({quoted(names, "i")})""",
        "SET stored_rows = stored_rows + @@row_count - (changed_rows - new_rows)",
    ]


def _same(table: RawTable) -> str:
    """That a row of the table has the key of an incoming one."""
    return f"t.tenant_id = i.tenant_id AND t.{table.key} = i.{table.key}"


def _replace_lines(lines: RawTable, source: str) -> list[str]:
    """Lines belong to one version of their record and come and go with it."""
    target, parent = lines.qualified, lines.key
    return [
        f"""\
DELETE FROM {target} AS t
WHERE EXISTS (SELECT 1 FROM incoming AS a WHERE a.accepted AND a.tenant_id = t.tenant_id AND a.id = t.{parent})""",
        # One record may stand in the files twice, so the lines of the chosen version are taken once.
        f"""\
INSERT INTO {target} ({quoted(lines.column_names)})
SELECT {parsed(lines.typed_columns, "f")} FROM {source} AS f
JOIN incoming AS a
  ON a.tenant_id = f.tenant_id AND a.id = f.{parent} AND a._content_hash = f._content_hash
WHERE a.accepted
QUALIFY ROW_NUMBER() OVER (PARTITION BY f.tenant_id, f.{parent}, f.line ORDER BY f._loaded_at) = 1""",
    ]


def _vanished(table: RawTable, source: str | None, windowed: bool) -> str:
    """That the source, just read whole, no longer has a row; one that comes back is taken again."""
    gone = f" AND {table.key} NOT IN (SELECT {table.key} FROM incoming)" if source else ""
    return f"{_within(windowed)} AND COALESCE(active, TRUE) AND _loaded_at < @read_at{gone}"


def _mark_vanished(table: RawTable, condition: str) -> str:
    return f"""\
UPDATE {table.qualified}
SET active = FALSE, _content_hash = 'vanished', _loaded_at = @read_at, _run_id = @run_id
WHERE {condition}"""


def _within(windowed: bool) -> str:
    """The condition for a tenant's rows created within the window."""
    window = " AND created_on >= @window_start AND created_on < @window_end" if windowed else ""
    return f"tenant_id = @tenant_id{window}"
