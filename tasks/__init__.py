"""Thin Prefect tasks over ``st_kpi``: retries, tags and names, no business logic."""

#: Tag of every task that calls the API, and of every task that writes to the warehouse.
SERVICETITAN_API = "servicetitan-api"
WAREHOUSE_WRITE = "warehouse-write"


def raw_asset(entity: str) -> str:
    """The raw table of an entity, as an asset of Prefect; only Prefect Cloud shows assets."""
    return f"warehouse://st_raw/{entity}"
