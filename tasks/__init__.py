"""Thin Prefect tasks over ``st_kpi``: retries, tags and names, no business logic."""

#: Tag of every task that calls the API, and of every task that writes to the warehouse.
SERVICETITAN_API = "servicetitan-api"
WAREHOUSE_WRITE = "warehouse-write"
