"""The weekly review where the settings say: in a folder, or in a bucket that a block of Prefect knows."""

import asyncio
from typing import Any
from urllib.parse import quote

from prefect import task
from prefect.cache_policies import NO_CACHE

from st_kpi.errors import ConfigurationError
from st_kpi.ingest.session import shared_warehouse
from st_kpi.reporting import weekly_report
from st_kpi.settings import BUCKET, Settings

_BROWSED_AT = "https://storage.cloud.google.com"


@task(name="write-report", task_run_name="write the weekly review", cache_policy=NO_CACHE)
async def write_report() -> str:
    """Write the page and return where it can be opened.

    Raises ``ConfigurationError`` for a place that cannot be written.
    """
    async with shared_warehouse() as around:
        settings = around.settings
        review = await asyncio.to_thread(weekly_report.read, around.warehouse, settings)
    if settings.report_folder is None:
        return await _into_bucket(settings, await asyncio.to_thread(weekly_report.html, review))
    file = settings.report_folder / weekly_report.FILE
    await asyncio.to_thread(weekly_report.write, review, file)
    return file.as_uri()


async def _into_bucket(settings: Settings, page: str) -> str:
    name = (settings.report_path or "").removeprefix(BUCKET)
    bucket = await _block(name)
    try:
        path = await bucket.awrite_path(weekly_report.FILE, page.encode())
    except Exception as error:  # of Google's libraries, which have no root of their own
        raise ConfigurationError(
            f"The weekly review cannot be written into the bucket {bucket.bucket!r} of the GcsBucket block {name!r}:"
            f" {type(error).__name__}. See that its credentials may create and replace objects there."
        ) from error
    return f"{_BROWSED_AT}/{bucket.bucket}/{quote(str(path))}"


async def _block(name: str) -> Any:
    from prefect_gcp.cloud_storage import GcsBucket  # type: ignore[import-untyped]  # takes seconds

    try:
        return await GcsBucket.aload(name)
    except ValueError as error:
        raise ConfigurationError(
            f"There is no GcsBucket block {name!r} in Prefect that can be used, though ST_KPI_REPORT_PATH names one"
            f" ({type(error).__name__}): save it there under this name, or name a folder."
        ) from None
