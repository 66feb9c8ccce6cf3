"""Rows out of BigQuery into typed Parquet files, over REST: for a copy of a whole warehouse, not for anything in a hurry."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import orjson

from st_kpi.columns import Columns
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.values import each_row
from st_kpi.warehouse.duckdb.dialect import TYPES, literal

#: Rows of one file, so that memory stays flat.
_ROWS = 50_000


def export(jobs: Jobs, table: str, columns: Columns, folder: Path) -> tuple[Path, ...]:
    """Write the rows of a table, these columns of them; see ``Warehouse.export``."""
    with jobs.translate_errors():
        schema = jobs.client.get_table(jobs.reference(table), retry=jobs.retry).schema
        fields = {field.name: field for field in schema}
        rows = jobs.client.list_rows(
            jobs.reference(table),
            selected_fields=[fields[name] for name, _ in columns],
            page_size=_ROWS,
            retry=jobs.retry,
        )
        return tuple(_files(each_row(rows), columns, folder))


def _files(rows: Iterator[dict[str, Any]], columns: Columns, folder: Path) -> Iterator[Path]:
    number = 0
    while batch := list(islice(rows, _ROWS)):
        yield _file(batch, columns, folder, f"{number:05}")
        number += 1


def _file(rows: Iterable[Mapping[str, Any]], columns: Columns, folder: Path, name: str) -> Path:
    """The rows as text, of which every value is cast to the type of its column."""
    text, target = folder / f"{name}.ndjson", folder / f"{name}.parquet"
    text.write_bytes(
        b"".join(
            orjson.dumps({column: _text(row[column]) for column, _ in columns}) + b"\n"
            for row in rows
        )
    )
    shape = ", ".join(f"'{column}': 'VARCHAR'" for column, _ in columns)
    casts = ", ".join(
        f'CAST("{column}" AS {TYPES[kind]}) AS "{column}"' for column, kind in columns
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (SELECT {casts} FROM read_json($file, format = 'newline_delimited', columns = {{{shape}}}))"
            f" TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)",
            {"file": str(text)},
        )
    text.unlink()
    return target


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
