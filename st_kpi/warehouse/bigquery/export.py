"""Rows out of BigQuery into typed Parquet files, over REST: for a copy of a whole warehouse, not for anything in a hurry."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import orjson

from st_kpi.columns import Columns
from st_kpi.warehouse.bigquery.client import Jobs
from st_kpi.warehouse.bigquery.values import each_row
from st_kpi.warehouse.duckdb.dialect import TYPES, literal

#: Text of one file, in bytes, so that memory stays flat.
_BYTES = 32_000_000
#: Rows of an answer, which BigQuery bounds in bytes too.
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
    lines = (orjson.dumps({name: _text(row[name]) for name, _ in columns}) + b"\n" for row in rows)
    for number, batch in enumerate(_batches(lines)):
        yield _file(batch, columns, folder, f"{number:05}")


def _batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The lines in runs that are bounded in bytes; a longer line is alone."""
    batch, size = list[bytes](), 0
    for line in lines:
        if batch and size + len(line) > _BYTES:
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield batch


def _file(lines: Sequence[bytes], columns: Columns, folder: Path, name: str) -> Path:
    """The rows as text, of which every value is cast to the type of its column."""
    text, target = folder / f"{name}.ndjson", folder / f"{name}.parquet"
    text.write_bytes(b"".join(lines))
    shape = ", ".join(f"'{column}': 'VARCHAR'" for column, _ in columns)
    casts = ", ".join(
        f'CAST("{column}" AS {TYPES[kind]}) AS "{column}"' for column, kind in columns
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (SELECT {casts} FROM read_json($file, format = 'newline_delimited', columns = {{{shape}}},"
            f" maximum_object_size = {max(map(len, lines)) + 1}))"
            f" TO {literal(str(target))} (FORMAT parquet, COMPRESSION zstd)",
            {"file": str(text)},
        )
    text.unlink()
    return target


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
