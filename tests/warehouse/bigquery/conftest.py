"""An emptied warehouse on the emulator, what speaks to it, and what stands in between and fails."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from st_kpi.warehouse.bigquery.client import Jobs
from tests.support.bigquery_emulator import PROJECT, emptied, options
from tests.support.faulty import Faulty, faulty
from tests.support.loader import Loader


@pytest.fixture
def url(bigquery_url: str) -> str:
    return bigquery_url


@pytest.fixture
def loader(url: str, tmp_path: Path) -> Iterator[Loader]:
    warehouse = emptied(url)
    yield Loader(tmp_path, warehouse)
    warehouse.close()


@pytest.fixture
def jobs(url: str) -> Iterator[Jobs]:
    jobs = Jobs(PROJECT, "US", options(url))
    yield jobs
    jobs.close()


@pytest.fixture
def proxy(url: str) -> Iterator[Faulty]:
    with faulty(url) as proxy:
        yield proxy
