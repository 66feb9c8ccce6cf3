"""A tenant loaded, changed, synced and built twice on either engine: the published numbers are the same, value for value."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx

from st_kpi import ingest, manifest, published, sync
from st_kpi.build import BuildResult, build
from st_kpi.demo import compare
from st_kpi.explain import explain
from st_kpi.planning import plan, source_time, wanted_window
from st_kpi.sandbox import Books, Company, create_app, generate_company
from st_kpi.sandbox.life import live
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.session import Session
from st_kpi.typed import Typer
from st_kpi.warehouse.base import Warehouse
from st_kpi.warehouse.duckdb import DuckDBWarehouse
from tests.bigquery_emulator import emptied
from tests.conftest import tenant_settings

#: What a reader sees, with columns that are of one engine's run alone.
TABLES = {
    "st_kpi.contributions": (),
    "st_kpi.kpi_weekly": (),
    "st_kpi.kpi_daily": (),
    "st_kpi.kpi_weekly_wide": (),
    "st_kpi.snapshot_days": (),
    "st_kpi.kpi_reported": (),
    "st_kpi.kpi_changes": (),
    "st_kpi.contribution_changes": (),
    "st_dim.dim_jobs": (),
    "st_dim.fact_job_costs": (),
    "st_ref.dim_bu_rollup": (),
    "st_ops.seen_rows": (),
}
