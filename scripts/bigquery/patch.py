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

# Every statement asks for its tables several times, and each answer took the sizes of all tables of all projects, or
# planned a query of the table: what DuckLake keeps about it is one look into two small tables.
database = package / "engine" / "database.py"
slow = """    return fetch(
        "SELECT table_name, 'TABLE', estimated_size FROM duckdb_tables() "
        "WHERE database_name = $1 AND schema_name = $2 "
        "AND table_name = coalesce($3, table_name) "
        "UNION ALL SELECT view_name, 'VIEW', 0 FROM duckdb_views() "
"""
quick = """    if project_id == "emulator" and table_id is not None:
        try:
            fetch(f"SELECT 1 FROM {quote(project_id, dataset_id, table_id)} LIMIT 0")
        except duckdb.CatalogException:
            return []
        return [(table_id, "TABLE", 0)]
    if None not in (project_id, dataset_id, table_id):
        known = shape(project_id, dataset_id, table_id)
        return [(table_id, known[0], 0)] if known else []
    return fetch(
        "SELECT DISTINCT table_name, 'TABLE', 0 FROM duckdb_columns() "
        "WHERE database_name = $1 AND schema_name = $2 "
        "AND table_name = coalesce($3, table_name) AND NOT internal AND table_name NOT IN "
        "(SELECT view_name FROM duckdb_views() WHERE database_name = $1 AND schema_name = $2) "
        "UNION ALL SELECT view_name, 'VIEW', 0 FROM duckdb_views() "
"""
replace(database, slow, quick)
before = """def objects(
"""
asked = """_shapes: dict[str, tuple[int, dict]] = {}


def shape(project_id: str, dataset_id: str, table_id: str) -> tuple | None:
    catalog = quote("__ducklake_metadata_" + project_id)
    try:
        ((version,),) = fetch(f"SELECT arg_max(schema_version, snapshot_id) FROM {catalog}.ducklake_snapshot")
    except (duckdb.CatalogException, duckdb.BinderException):
        return None
    known, shapes = _shapes.get(project_id, (None, {}))
    if known != version:
        of_now = (
            f"JOIN {catalog}.ducklake_schema AS held USING (schema_id) "
            "WHERE made.end_snapshot IS NULL AND held.end_snapshot IS NULL"
        )
        rows = fetch(
            "SELECT lower(schema_name), lower(table_name), 'TABLE', table_id, (SELECT max(greatest(c.begin_snapshot, c.end_snapshot)) "
            f"FROM {catalog}.ducklake_column AS c WHERE c.table_id = made.table_id) FROM {catalog}.ducklake_table AS made {of_now} "
            f"UNION ALL SELECT lower(schema_name), lower(view_name), 'VIEW', view_id, 0 FROM {catalog}.ducklake_view AS made {of_now}"
        )
        shapes = {(schema, name): tuple(shape) for schema, name, *shape in rows}
        _shapes[project_id] = version, shapes
    return shapes.get((dataset_id.lower(), table_id.lower()))


def objects(
"""
replace(database, before, asked)

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
quick = """    known = dataset_id != RESULTS and database.shape(project_id, dataset_id, table_id)
    if known and (project_id, *known) in _columns:
        return _columns[project_id, *known]
    try:
        required = database.fetch(f'SELECT column_name FROM (DESCRIBE {table}) WHERE "null" = $$NO$$')
    except duckdb.CatalogException:
        required = []
"""
replace(tables, slow, quick)
replace(
    tables,
    """def columns(""",
    """_columns = {}


def columns(""",
)
each = """        return [
            types.field(column, t, column in required)
            for column, t in zip(relation.columns, relation.types)
            if column != INGESTION_TIME or dataset_id == RESULTS
        ]
"""
kept = """        read = [
            types.field(column, t, column in required)
            for column, t in zip(relation.columns, relation.types)
            if column != INGESTION_TIME or dataset_id == RESULTS
        ]
    if known and known[0] == "TABLE":
        _columns[project_id, *known] = read
    return read
"""
replace(tables, each, kept)
asked = """    kind, num_rows = found
    stored = metadata.load("""
counted = """    kind, num_rows = found
    if kind == "TABLE":
        ((num_rows,),) = database.fetch(f"SELECT count(*) FROM {name(project_id, dataset_id, table_id)}")
    stored = metadata.load("""
replace(tables, asked, counted)

# What a test's emulator knows ends with it: nothing of it is flushed to a disk.
replace(
    database,
    """ATTACH '{settings.data_dir / 'emulator.duckdb'}' AS emulator""",
    """ATTACH ':memory:' AS emulator""",
)

# Each change of a job was read from JSON and written to it, with all of its parameters, and so was each of a script's
# statements with the script around it: a third of the work. What is not changed stays; a statement tells of itself.
resource = package / "resource.py"
whole = """        return self.model_validate(self.dump() | changes)

    def merged"""
changed = """        read = self.model_validate(changes)
        return self.model_copy(update={name: getattr(read, name) for name in read.model_fields_set})

    def merged"""
replace(resource, whole, changed)
runner = package / "jobs" / "runner.py"
replace(
    runner,
    """f"script_job_{job_id}_{index}", job.configuration)""",
    """f"script_job_{job_id}_{index}", JobConfiguration(query={"query": ""}))""",
)
(package / "jobs" / "store.py").write_text(
    """_jobs = {}


def save(job):
    _jobs[job.jobReference.projectId, job.jobReference.jobId] = job
    return job


def load(project_id, job_id):
    job = _jobs.get((project_id, job_id))
    return job and job.model_copy()


def list_(project_id, states=None, parent_job_id=None, min_creation_time=None, max_creation_time=None):
    found = [
        job
        for (project, _), job in list(_jobs.items())
        if project == project_id
        and job.statistics.parentJobId == parent_job_id
        and (states is None or job.status.state in states)
        and (min_creation_time or 0) <= int(job.statistics.creationTime)
        and (max_creation_time is None or int(job.statistics.creationTime) <= max_creation_time)
    ]
    return sorted(found, key=lambda job: (-int(job.statistics.creationTime), job.jobReference.jobId))


def delete(project_id, job_id):
    for key in [key for key, job in list(_jobs.items()) if job_id in (key[1], job.statistics.parentJobId)]:
        _jobs.pop(key)
""",
    encoding="utf-8",
)

# DuckDB looks for pandas before each statement, in vain: it is told once that there is none.
absent = """sys.modules["pandas"] = None  # type: ignore[assignment]
"""
main = package / "__init__.py"
if absent not in main.read_text(encoding="utf-8"):
    main.write_text(f"import sys\n\n{absent}{main.read_text(encoding='utf-8')}", encoding="utf-8")

# No table here is kept by the time of its loading, which every statement asks of each of its tables.
partitions = package / "sql" / "rules" / "partitions.py"
asked = """    if not (table.catalog and table.db) or not isinstance(table.this, exp.Identifier):
        return False
    return bool("""
replace(partitions, asked, asked.replace("return bool(", "return False and bool("))

# The service tells in ``__TABLES__`` when rows were written last; here that was when the table was made, and the answer
# took six questions a table.
information = package / "sql" / "rules" / "information_schema.py"
text = information.read_text(encoding="utf-8")
asked = """    catalog = database.quote("__ducklake_metadata_" + project_id)
    rows = database.fetch(
        "WITH changes AS (SELECT snapshot_id, unnest(regexp_extract_all(changes_made, ':([0-9]+)', 1))::BIGINT AS table_id "
        f"FROM {catalog}.ducklake_snapshot_changes), "
        f"written AS (SELECT table_id, epoch_ms(max(snapshot_time)) AS moment FROM changes JOIN {catalog}.ducklake_snapshot "
        "USING (snapshot_id) GROUP BY ALL), "
        f"added AS (SELECT table_id, sum(record_count) AS n FROM {catalog}.ducklake_data_file WHERE end_snapshot IS NULL GROUP BY ALL), "
        f"deleted AS (SELECT gone.table_id, sum(delete_count) AS n FROM {catalog}.ducklake_delete_file AS gone "
        f"JOIN {catalog}.ducklake_data_file AS of_file USING (data_file_id) "
        "WHERE gone.end_snapshot IS NULL AND of_file.end_snapshot IS NULL GROUP BY ALL) "
        "SELECT $1, schema_name, table_name, epoch_ms(snapshot_time), coalesce(moment, epoch_ms(snapshot_time)), "
        "coalesce(added.n, 0)::BIGINT - coalesce(deleted.n, 0)::BIGINT AS rows, rows * 8, 1 "
        f"FROM {catalog}.ducklake_table AS made JOIN {catalog}.ducklake_schema AS held USING (schema_id) "
        f"JOIN {catalog}.ducklake_snapshot ON snapshot_id = made.begin_snapshot LEFT JOIN written USING (table_id) "
        "LEFT JOIN added USING (table_id) LEFT JOIN deleted USING (table_id) "
        "WHERE made.end_snapshot IS NULL AND held.end_snapshot IS NULL AND schema_name = $2 ORDER BY table_name",
        [project_id, dataset_id],
    )
    return columns, rows
"""
start = text.index("    rows = [\n", text.index("def legacy_tables("))
end = text.index("    return columns, rows\n", start) + len("    return columns, rows\n")
information.write_text(text[:start] + asked + text[end:], encoding="utf-8")

# Whoever cancels a job before its statement runs is not heard: it is told until the job has ended.
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
