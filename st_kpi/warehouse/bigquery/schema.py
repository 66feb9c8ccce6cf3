"""The datasets and tables of a BigQuery warehouse: how they are laid out and described, and that they are as we left them."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from google.cloud import bigquery

from st_kpi.columns import Column, Columns, ColumnType, RawTable
from st_kpi.errors import WarehouseError
from st_kpi.warehouse.bigquery import expirations
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
    "_loaded_at": "When this version was read from ServiceTitan, by its clock, UTC.",
    "_run_id": "The run that read it.",
    "_extra": "Whatever the source sent that has no column of its own.",
    "line": "The number of the line within its record, from 1.",
}
#: What rows lie together by, as far as a table has it: one of numbers, and any other. BigQuery takes four columns.
_CLUSTERED_BY_KPI = ("kpi", "tenant_id", "rollup", "on_date", "week_start")
_CLUSTERED = ("tenant_id", "job_id")
_MOST_CLUSTERED = 4
#: Requests at the same time, where each is for another table.
_AT_ONCE = 8
#: Whatever a killed run leaves behind is gone after this.
_EXPIRES = dt.timedelta(days=2)


def ensure(jobs: Jobs, tables: Sequence[RawTable]) -> None:
    """Create what is not there and add columns that are new; one query where all is as it should be.

    Raises ``WarehouseError`` before anything is written for a dataset in another location and for a column whose type
    somebody changed, ``ConfigurationError`` where BigQuery would delete what is loaded.
    """
    required = {table.qualified: _raw_table(jobs, table) for table in tables}
    required |= {name: _plain_table(jobs, name, c) for name, c in SYSTEM_TABLES.items()}
    datasets = datasets_of_ours(jobs)
    existing = _columns(jobs, datasets & {"st_raw", "st_kpi", "st_ops"})
    for name, table in required.items():
        _refuse_retyped(name, table, existing.get(name, {}))
    expirations.clear(jobs, expirations.found(jobs, datasets, {*required, PUBLICATIONS}))
    for dataset in SCHEMAS:
        if dataset not in datasets:
            _create_dataset(jobs, dataset)
    missing = [table for name, table in required.items() if name not in existing]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda table: create(jobs, table), missing))
    for name, table in required.items():
        if name in existing:
            _add_missing_columns(jobs, name, table, existing[name])
    if PUBLICATIONS not in existing:
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
    tables = _columns(jobs, datasets_of_ours(jobs) - {"st_staging"})
    return {
        table: tuple((name, _type(table, name, text)) for name, text in columns.items())
        for table, columns in sorted(tables.items())
        if table != PUBLICATIONS
    }


def table_names(jobs: Jobs) -> set[str]:
    """Every table of our datasets, as ``dataset.name``; no job."""

    def listed(dataset: str) -> list[str]:
        tables = jobs.client.list_tables(dataset, retry=jobs.retry)
        return [f"{dataset}.{table.table_id}" for table in tables]

    with jobs.translate_errors(), ThreadPoolExecutor(_AT_ONCE) as pool:
        return {name for names in pool.map(listed, SCHEMAS) for name in names}


def ensure_table(jobs: Jobs, name: str, columns: Columns) -> None:
    """Create the table, or add the columns that it lacks."""
    required = _plain_table(jobs, name, columns)
    existing = jobs.table(name)
    if existing is None:
        create(jobs, required)
    else:
        _add_missing_columns(jobs, name, required, [field.name for field in existing.schema])


def laid_out(jobs: Jobs, name: str, fields: Sequence[bigquery.SchemaField]) -> bigquery.Table:
    """A table for readers: rows that are read and changed together lie together, of a KPI or else of a job.

    Not in partitions: those of a month would be a block each, so that a change of a few rows would rewrite all of them.
    """
    table = bigquery.Table(jobs.reference(name), schema=fields)
    names = {field.name for field in fields}
    wanted = _CLUSTERED_BY_KPI if "kpi" in names else _CLUSTERED
    if clustered := [column for column in wanted if column in names][:_MOST_CLUSTERED]:
        table.clustering_fields = clustered
    table.labels = dict(expirations.LABELS)
    return table


def clauses(table: bigquery.Table) -> str:
    """The layout of the table as SQL has it, between the name and AS."""
    if not table.clustering_fields:
        return ""
    return f"CLUSTER BY {', '.join(f'`{name}`' for name in table.clustering_fields)}"


def create(jobs: Jobs, table: bigquery.Table) -> None:
    """Create a table unless it is there."""
    with jobs.translate_errors():
        jobs.client.create_table(table, exists_ok=True, retry=jobs.retry)


def expiry() -> dt.datetime:
    """When a table that nobody clears away is gone, in UTC."""
    return dt.datetime.now(dt.UTC) + _EXPIRES


def add_columns(jobs: Jobs, name: str, fields: Iterable[bigquery.SchemaField]) -> None:
    """Add columns to a table, in one statement; those that are there by now stay."""
    added = ", ".join(
        f"ADD COLUMN IF NOT EXISTS `{field.name}` {sql_type(field)}"
        + (f" OPTIONS(description={field.description!r})" if field.description else "")
        for field in fields
    )
    jobs.run(f"ALTER TABLE {name} {added}")


def _field(column: Column) -> bigquery.SchemaField:
    return bigquery.SchemaField(column.name, str(column.type), description=_described(column))


def _raw_table(jobs: Jobs, table: RawTable) -> bigquery.Table:
    fields = [_field(column) for column in table.columns]
    result = laid_out(jobs, table.qualified, fields)
    result.clustering_fields = ["tenant_id", table.key or "created_on"]
    result.description = table.description
    return result


def _plain_table(jobs: Jobs, name: str, columns: Columns) -> bigquery.Table:
    return laid_out(
        jobs, name, [bigquery.SchemaField(column, str(kind)) for column, kind in columns]
    )


def _described(column: Column) -> str:
    if column.name in _LOADED:
        return _LOADED[column.name]
    path = ".".join(column.path)
    origin = f"Computed from {path}." if column.derived else f"{path} in ServiceTitan."
    return f"{origin} Personal." if column.personal else origin


def datasets_of_ours(jobs: Jobs) -> set[str]:
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
    dataset.labels = dict(expirations.LABELS)
    expirations.create_lasting(jobs, dataset)


def _columns(jobs: Jobs, datasets: Iterable[str]) -> dict[str, dict[str, str]]:
    """Per table of the datasets its columns and their types."""
    selects = [
        f"SELECT '{name}' AS dataset, table_name, column_name, data_type FROM {name}.INFORMATION_SCHEMA.COLUMNS"
        for name in sorted(datasets)
    ]
    tables: dict[str, dict[str, str]] = {}
    for row in jobs.rows(" UNION ALL ".join(selects)) if selects else ():
        columns = tables.setdefault(f"{row['dataset']}.{row['table_name']}", {})
        columns[row["column_name"]] = row["data_type"]
    return tables


def _refuse_retyped(name: str, table: bigquery.Table, existing: Mapping[str, str]) -> None:
    for column in table.schema:
        actual = existing.get(column.name)
        if actual is not None and actual.split("(")[0] != sql_type(column):
            raise WarehouseError(
                f"Column {column.name} of {name} is {actual} and has to be {sql_type(column)}: somebody"
                " changed the table. Rename that column, or drop the table and run `st-kpi backfill`."
                " Nothing was written."
            )


def _add_missing_columns(
    jobs: Jobs, name: str, required: bigquery.Table, existing: Collection[str]
) -> None:
    if fields := [field for field in required.schema if field.name not in existing]:
        add_columns(jobs, name, fields)


def _type(table: str, column: str, text: str) -> ColumnType:
    try:
        return ColumnType(text.split("(")[0])
    except ValueError:
        raise WarehouseError(f"{table}.{column} is {text}, which no column of ours is.") from None


def sql_type(column: bigquery.SchemaField) -> str:
    """The type as SQL names it; the API has older names for three."""
    kind = str(column.field_type)
    return {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}.get(kind, kind)
