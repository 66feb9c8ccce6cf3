"""The datasets and tables of a BigQuery warehouse: how they are laid out and described, and that they are as we left them."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from google.cloud import bigquery

from st_kpi.columns import Column, Columns, ColumnType, RawTable
from st_kpi.errors import WarehouseError
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.system_tables import SCHEMAS, SYSTEM_TABLES

#: One row whose token every publishing run replaces, so that no two publish over each other without noticing.
PUBLICATIONS = "st_ops.publications"

_DATASETS = {
    "st_raw": "The newest version of every ServiceTitan record, and of the lines nested in them.",
    "st_staging": "Steps between the records and the KPIs, and rows on their way in.",
    "st_ref": "Business units, job types and weeks, with the mapping files applied.",
    "st_dim": "One row per job: names, dates and what it cost.",
    "st_kpi": "The published numbers, the rows behind them, and how they changed.",
    "st_ops": "What was promised, fetched and stored, and how the runs went.",
}
_LOADED = {
    "tenant_id": "The ServiceTitan tenant.",
    "_content_hash": "Differs when the record says something else.",
    "_loaded_at": "When this version was read from ServiceTitan, UTC.",
    "_run_id": "The run that read it.",
    "_extra": "Whatever the source sent that has no column of its own.",
    "line": "The number of the line within its record, from 1.",
}
#: By which column a table is kept in months: the first of these that it has.
_MONTHS = ("created_on", "week_start", "day", "on_date")
_CLUSTERED = ("tenant_id", "kpi", "rollup", "job_id")
#: Requests at the same time, where each is for another table.
_AT_ONCE = 8


def ensure(jobs: Jobs, tables: Sequence[RawTable]) -> None:
    """Create what is not there and add columns that are new; one query where all is as it should be.

    Raises ``WarehouseError`` before anything is written for a dataset in another location and for a column whose type
    somebody changed.
    """
    wanted = [_raw_table(jobs, table) for table in tables]
    wanted += [_plain_table(jobs, name, c) for name, c in SYSTEM_TABLES.items()]
    there = _datasets(jobs)
    found = _columns(jobs, there & {"st_raw", "st_kpi", "st_ops"})
    for table in wanted:
        _refuse_retyped(table, found.get(_name(table), {}))
    for dataset in SCHEMAS:
        if dataset not in there:
            _create_dataset(jobs, dataset)
    missing = [table for table in wanted if _name(table) not in found]
    extended = [t for t in wanted if _name(t) in found and _new_fields(t, found[_name(t)])]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda table: create(jobs, table), missing))
    for table in extended:
        add_columns(jobs, _name(table), _new_fields(table, found[_name(table)]))
    if PUBLICATIONS not in found:
        # Whole with its row at once, and by whoever is first.
        jobs.run(
            f"CREATE TABLE IF NOT EXISTS {PUBLICATIONS} AS"
            " SELECT '' AS token, CURRENT_TIMESTAMP() AS published_at"
        )


def describe(jobs: Jobs, name: str, text: str, columns: Mapping[str, str]) -> None:
    """Describe a table and its columns, if they are not described so already."""
    table = jobs.table(name)
    if table is None:
        return
    fields = [_with_description(field, columns.get(field.name)) for field in table.schema]
    if (table.description, table.schema) == (text, fields):
        return
    table.description, table.schema = text, fields
    with jobs.translate_errors():
        jobs.client.update_table(table, ["description", "schema"], retry=jobs.retry)


def _with_description(field: bigquery.SchemaField, text: str | None) -> bigquery.SchemaField:
    if text is None:
        return field
    return bigquery.SchemaField.from_api_repr(field.to_api_repr() | {"description": text})


def columns_of_all(jobs: Jobs) -> dict[str, Columns]:
    """Every table of ours but the scratch ones and the publications', with its columns and their types."""
    found = _columns(jobs, _datasets(jobs) - {"st_staging"})
    return {
        table: tuple((name, _kind(table, name, text)) for name, text in found[table].items())
        for table in sorted(found)
        if table != PUBLICATIONS
    }


def ensure_table(jobs: Jobs, name: str, columns: Columns) -> None:
    """Create the table, or add the columns that it lacks."""
    wanted = _plain_table(jobs, name, columns)
    found = jobs.table(name)
    if found is None:
        create(jobs, wanted)
        return
    there = {field.name: "" for field in found.schema}
    if new := _new_fields(wanted, there):
        add_columns(jobs, name, new)


def laid_out(jobs: Jobs, name: str, fields: Sequence[bigquery.SchemaField]) -> bigquery.Table:
    """A table for readers: kept by month where it has a date for that, its rows near each other by tenant and KPI."""
    table = bigquery.Table(jobs.reference(name), schema=fields)
    types = {field.name: field.field_type for field in fields}
    dates = [column for column in _MONTHS if types.get(column) in ("DATE", "TIMESTAMP")]
    if dates and name.split(".")[0] in ("st_raw", "st_kpi"):
        table.time_partitioning = bigquery.TimePartitioning(type_="MONTH", field=dates[0])
    clustered = [column for column in _CLUSTERED if column in types]
    if clustered:
        table.clustering_fields = clustered
    table.labels = {"app": "st-kpi"}
    return table


def clauses(table: bigquery.Table) -> str:
    """The layout of the table as SQL has it, between the name and AS."""
    parts = []
    if table.time_partitioning:
        field = table.time_partitioning.field
        kind = next(f.field_type for f in table.schema if f.name == field)
        parts.append(f"PARTITION BY {kind}_TRUNC({field}, MONTH)")
    if table.clustering_fields:
        parts.append(f"CLUSTER BY {', '.join(f'`{name}`' for name in table.clustering_fields)}")
    return " ".join(parts)


def create(jobs: Jobs, table: bigquery.Table) -> None:
    """Create a table unless it is there."""
    with jobs.translate_errors():
        jobs.client.create_table(table, exists_ok=True, retry=jobs.retry)


def add_columns(jobs: Jobs, name: str, fields: Iterable[bigquery.SchemaField]) -> None:
    """Add columns to a table, in one statement; those that are there by now stay."""
    added = ", ".join(
        f"ADD COLUMN IF NOT EXISTS `{field.name}` {_sql_type(field)}"
        + (f" OPTIONS(description={field.description!r})" if field.description else "")
        for field in fields
    )
    jobs.run(f"ALTER TABLE {name} {added}")


def _field(column: Column) -> bigquery.SchemaField:
    return bigquery.SchemaField(column.name, str(column.type), description=_described(column))


def _raw_table(jobs: Jobs, table: RawTable) -> bigquery.Table:
    fields = [_field(column) for column in table.columns]
    made = laid_out(jobs, table.qualified, fields)
    made.clustering_fields = ["tenant_id", *([table.key] if table.key else [])]
    made.description = table.description
    return made


def _plain_table(jobs: Jobs, name: str, columns: Columns) -> bigquery.Table:
    return laid_out(
        jobs, name, [bigquery.SchemaField(column, str(kind)) for column, kind in columns]
    )


def _described(column: Column) -> str:
    if column.name in _LOADED:
        return _LOADED[column.name]
    path = ".".join(column.path)
    told = f"Computed from {path}." if column.derived else f"{path} in ServiceTitan."
    return f"{told} Personal." if column.personal else told


def _name(table: bigquery.Table) -> str:
    return f"{table.dataset_id}.{table.table_id}"


def _datasets(jobs: Jobs) -> set[str]:
    """Those of our datasets that are there; raises ``WarehouseError`` for one in another location."""
    with jobs.translate_errors():
        listed = list(jobs.client.list_datasets(retry=jobs.retry))
    for item in listed:
        location = item._properties.get(
            "location", jobs.location
        )  # the list has it, its class does not
        if item.dataset_id in SCHEMAS and location.upper() != jobs.location.upper():
            raise WarehouseError(
                f"Dataset {item.dataset_id} of project {jobs.project} lies in {location}, and the"
                f" warehouse's address says {jobs.location}: write location={location} in ST_KPI_WAREHOUSE."
            )
    return {item.dataset_id for item in listed if item.dataset_id in SCHEMAS}


def _create_dataset(jobs: Jobs, name: str) -> None:
    dataset = bigquery.Dataset(bigquery.DatasetReference(jobs.project, name))
    dataset.location = jobs.location
    dataset.description = _DATASETS[name]
    dataset.labels = {"app": "st-kpi"}
    with jobs.translate_errors():
        jobs.client.create_dataset(dataset, exists_ok=True, retry=jobs.retry)


def _columns(jobs: Jobs, datasets: Iterable[str]) -> dict[str, dict[str, str]]:
    """Per table of the datasets its columns and their types."""
    selects = [
        f"SELECT '{name}' AS dataset, table_name, column_name, data_type FROM {name}.INFORMATION_SCHEMA.COLUMNS"
        for name in sorted(datasets)
    ]
    found: dict[str, dict[str, str]] = {}
    for row in jobs.rows(" UNION ALL ".join(selects)) if selects else ():
        table = found.setdefault(f"{row['dataset']}.{row['table_name']}", {})
        table[row["column_name"]] = row["data_type"]
    return found


def _refuse_retyped(table: bigquery.Table, found: Mapping[str, str]) -> None:
    for column in table.schema:
        kind = found.get(column.name)
        if kind is not None and kind.split("(")[0] != _sql_type(column):
            raise WarehouseError(
                f"Column {column.name} of {_name(table)} is {kind} and has to be {_sql_type(column)}: somebody"
                " changed the table. Rename that column, or drop the table and run `st-kpi backfill`."
                " Nothing was written."
            )


def _new_fields(table: bigquery.Table, found: Mapping[str, str]) -> list[bigquery.SchemaField]:
    return [column for column in table.schema if column.name not in found]


def _kind(table: str, column: str, text: str) -> ColumnType:
    try:
        return ColumnType(text.split("(")[0])
    except ValueError:
        raise WarehouseError(f"{table}.{column} is {text}, which no column of ours is.") from None


def _sql_type(column: bigquery.SchemaField) -> str:
    """The type as SQL names it; the API has older names for three."""
    kind = str(column.field_type)
    return {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}.get(kind, kind)
