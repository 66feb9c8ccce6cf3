"""What a program without any promise takes: download four entities and type the columns that KPIs need, with DuckDB.

    python bare.py FILE.duckdb

Nothing is checked, counted, retried or resumed. It is what a backfill is compared with.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import duckdb

from st_kpi.ingest.session import credentials
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.pages import ndjson
from st_kpi.servicetitan.registry import REGISTRY, Entity
from st_kpi.settings import load_settings

#: The columns that any KPI reads, by entity; of lines too.
NEEDED = {
    "jobs": "id BIGINT, jobNumber VARCHAR, jobStatus VARCHAR, completedOn TIMESTAMPTZ, businessUnitId BIGINT,"
    " jobTypeId BIGINT, campaignId BIGINT, customerId BIGINT, locationId BIGINT, projectId BIGINT, noCharge BOOLEAN,"
    " total DECIMAL(18, 4), recallForId BIGINT, warrantyId BIGINT, createdOn TIMESTAMPTZ, modifiedOn TIMESTAMPTZ",
    "estimates": "id BIGINT, jobId BIGINT, projectId BIGINT, name VARCHAR, soldOn TIMESTAMPTZ, soldBy BIGINT,"
    " active BOOLEAN, subtotal DECIMAL(18, 4), createdOn TIMESTAMPTZ, modifiedOn TIMESTAMPTZ, status STRUCT(name VARCHAR),"
    " items STRUCT(id BIGINT, qty DECIMAL(18, 4), total DECIMAL(18, 4))[]",
    "invoices": "id BIGINT, subTotal DECIMAL(18, 4), total DECIMAL(18, 4), balance DECIMAL(18, 4), invoiceDate TIMESTAMPTZ,"
    " active BOOLEAN, createdOn TIMESTAMPTZ, modifiedOn TIMESTAMPTZ, adjustmentToId BIGINT, job STRUCT(id BIGINT),"
    " businessUnit STRUCT(id BIGINT), customer STRUCT(id BIGINT),"
    " items STRUCT(id BIGINT, quantity DECIMAL(18, 4), totalCost DECIMAL(18, 4), total DECIMAL(18, 4), type VARCHAR)[]",
    "payments": "id BIGINT, total DECIMAL(18, 4), date TIMESTAMPTZ, active BOOLEAN, createdOn TIMESTAMPTZ,"
    " modifiedOn TIMESTAMPTZ, appliedTo STRUCT(appliedId BIGINT, appliedTo BIGINT, appliedAmount DECIMAL(18, 4))[]",
}


async def main(file: str) -> None:
    """Load the four; prints how many records."""
    settings = load_settings()
    api_url, auth_url = settings.hosts
    rows = 0
    with duckdb.connect(file) as connection, tempfile.TemporaryDirectory() as folder:
        connection.execute("SET TimeZone = 'UTC'")
        source = ServiceTitan(credentials(settings), api_url=api_url, auth_url=auth_url)
        async with source:
            for name in NEEDED:
                rows += await load(source, REGISTRY[name], connection, Path(folder))
    print(rows)


async def load(
    source: ServiceTitan, entity: Entity, connection: duckdb.DuckDBPyConnection, folder: Path
) -> int:
    """One entity, page after page as they come."""
    columns = NEEDED[entity.name]
    connection.execute(f"CREATE TABLE {entity.name} ({columns})")
    fields = duckdb.sql(f"SELECT * FROM (SELECT NULL::STRUCT({columns}) AS r)").types[0].children
    spec = ", ".join(f"'{name}': '{kind}'" for name, kind in fields)
    rows, page_file = 0, folder / "page.ndjson"
    async for page in source.pages(entity):
        rows += page.rows
        page_file.write_bytes(ndjson(page.records))
        await asyncio.to_thread(
            connection.execute,
            f"INSERT INTO {entity.name} SELECT * FROM read_json('{page_file}', format = 'newline_delimited',"
            f" columns = {{{spec}}}, maximum_object_size = 64000000)",
        )
    return rows


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
