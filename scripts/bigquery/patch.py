"""Make the installed emulator run on Python 3.11 and DuckDB 1.5, with its extensions and no download."""

import importlib.util
import re
from pathlib import Path

import duckdb
import duckdb_extensions

spec = importlib.util.find_spec("local_bigquery")
assert spec is not None
assert spec.submodule_search_locations is not None
package = Path(spec.submodule_search_locations[0])


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    if old not in text and new not in text:
        raise SystemExit(f"{file} is not as expected: is this another version of local-bigquery?")
    file.write_text(text.replace(old, new), encoding="utf-8")


# Two places use the syntax of Python 3.12; done already, nothing matches.
generics = package / "catalog" / "metadata.py"
text = generics.read_text()
plain = re.sub(r"def (\w+)\[R: Resource\]", r"def \1", text)
if plain != text:
    head, functions = plain.split("\ndef ", 1)
    generics.write_text(
        f"import typing\n{head}\nR = typing.TypeVar('R')\n\n\ndef {functions}", encoding="utf-8"
    )
quotes = package / "engine" / "results.py"
nested = """f"THEN error('{message.replace("'", "''")}') ELSE {expression} END\""""
flat = """"THEN error('" + message.replace("'", "''") + f"') ELSE {expression} END\""""
replace(quotes, nested, flat)

# Within a script's transaction this DuckDB gives all of it up when MERGE asks for one of its own; 2.0 does not.
merge = package / "jobs" / "merge.py"
asks = """    try:
        cur.execute("BEGIN")
        owned = True
    except duckdb.TransactionException:
        owned = False
"""
looks = """    # Within a transaction the clock stands still.
    clock = "SELECT epoch_us(transaction_timestamp())"
    owned = cur.execute(clock).fetchone() != cur.execute(clock).fetchone()
    if owned:
        cur.execute("BEGIN")
"""
replace(merge, asks, looks)

# Every statement asks for tables several times, and each answer took the sizes of all tables of all projects.
database = package / "engine" / "database.py"
slow = """    return fetch(
        "SELECT table_name, 'TABLE', estimated_size FROM duckdb_tables() "
        "WHERE database_name = $1 AND schema_name = $2 "
        "AND table_name = coalesce($3, table_name) "
        "UNION ALL SELECT view_name, 'VIEW', 0 FROM duckdb_views() "
"""
quick = """    if None not in (project_id, dataset_id, table_id):
        with cursor() as cur:
            try:
                table = cur.sql(f"SELECT count(*) FROM {quote(project_id, dataset_id, table_id)}")
            except (duckdb.CatalogException, duckdb.BinderException):
                return []
            catalog = quote("__ducklake_metadata_" + project_id)
            views = f"SELECT 1 FROM {catalog}.ducklake_view WHERE view_name = ? AND end_snapshot IS NULL"
            view = project_id != "emulator" and cur.execute(views, [table_id]).fetchone()
            if not view:
                return [(table_id, "TABLE", table.fetchone()[0])]
    return fetch(
        "SELECT DISTINCT table_name, 'TABLE', 0 FROM duckdb_columns() "
        "WHERE database_name = $1 AND schema_name = $2 "
        "AND table_name = coalesce($3, table_name) AND NOT internal AND table_name NOT IN "
        "(SELECT view_name FROM duckdb_views() WHERE database_name = $1 AND schema_name = $2) "
        "UNION ALL SELECT view_name, 'VIEW', 0 FROM duckdb_views() "
"""
replace(database, slow, quick)

query = package / "jobs" / "query.py"
slow = """cur.sql("SELECT table_name FROM duckdb_tables() WHERE temporary")"""
quick = """cur.sql("FROM duckdb_tables() SELECT table_name WHERE temporary" if session else "SELECT '' LIMIT 0")"""
replace(query, slow, quick)
tables = package / "catalog" / "tables.py"
slow = """    required = database.fetch(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = ? "
        "AND schema_name = ? AND table_name = ? AND NOT is_nullable",
        list(physical(project_id, dataset_id, table_id)),
    )
"""
quick = """    try:
        required = database.fetch(f'SELECT column_name FROM (DESCRIBE {table}) WHERE "null" = $$NO$$')
    except duckdb.CatalogException:
        required = []
"""
replace(tables, slow, quick)

# No table here is kept by the time of its loading, which every statement asks of each of its tables.
partitions = package / "sql" / "rules" / "partitions.py"
asked = """    if not (table.catalog and table.db) or not isinstance(table.this, exp.Identifier):
        return False
    return bool("""
replace(partitions, asked, asked.replace("return bool(", "return False and bool("))

# The service tells in ``__TABLES__`` when rows were written last; here that was when the table was made.
information = package / "sql" / "rules" / "information_schema.py"
made = """            int(t.lastModifiedTime or 0),
            int(t.numRows),
            int(t.numBytes),
"""
written = """            written.get((t.tableReference.datasetId, t.tableReference.tableId)) or int(t.lastModifiedTime or 0),
            int(t.numRows),
            int(t.numBytes),
"""
replace(information, made, written)
before = """        "type INT64",
    ]
    rows = [
        _identity(t)
"""
asked = """        "type INT64",
    ]
    catalog = database.quote("__ducklake_metadata_" + project_id)
    written = {
        (dataset, table): moment
        for dataset, table, moment in database.fetch(
            "WITH changes AS (SELECT snapshot_id, unnest(regexp_extract_all(changes_made, ':([0-9]+)', 1))::BIGINT AS id "
            f"FROM {catalog}.ducklake_snapshot_changes) "
            "SELECT schema_name, table_name, epoch_ms(max(snapshot_time)) FROM changes "
            f"JOIN {catalog}.ducklake_snapshot USING (snapshot_id) "
            f"JOIN {catalog}.ducklake_table AS made ON made.table_id = changes.id AND made.end_snapshot IS NULL "
            f"JOIN {catalog}.ducklake_schema AS held ON held.schema_id = made.schema_id AND held.end_snapshot IS NULL "
            "GROUP BY ALL"
        )
    }
    rows = [
        _identity(t)
"""
replace(information, before, asked)

# Whoever cancels a job before its statement runs is not heard: it is told until the job has ended.
runner = package / "jobs" / "runner.py"
once = """        running.cancelled = True
        if running.cursor:
            running.cursor.interrupt()
"""
again = """        running.cancelled = True
        for _ in range(100):
            if running.cursor:
                running.cursor.interrupt()
            if concurrent.futures.wait([running.future], timeout=0.05).done:
                break
"""
replace(runner, once, again)

connection = duckdb.connect()
for extension in ("ducklake", "icu", "spatial"):
    duckdb_extensions.import_extension(extension, con=connection)
