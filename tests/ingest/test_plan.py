"""What a plan comes to, said before it is carried out."""

from datetime import UTC, datetime

import pytest

from st_kpi.ingest.plan import Chunk, outlook
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.windows import Window
from tests.conftest import tenant_settings

WINDOW = Window(datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "To load: nothing, everything is complete."),
        ([0], "To load: 0 rows in 1 chunk, about 2 requests; about 1 minute,"),
        ([5_000, 5_001], "To load: 10,001 rows in 2 chunks, about 5 requests; about 1 minute,"),
        ([40_000] * 30, "To load: 1,200,000 rows in 30 chunks, about 270 requests; about 3 minutes,"),
    ],
    ids=["nothing", "an empty window", "a page and a row", "years"],
)  # fmt: skip
def test_an_outlook_has_rows_requests_and_minutes(rows: list[int], said: str) -> None:
    chunks = [Chunk(REGISTRY["jobs"], WINDOW, number) for number in rows]
    assert outlook(chunks, tenant_settings()).startswith(said)


def test_a_low_rate_limit_takes_longer() -> None:
    chunks = [Chunk(REGISTRY["jobs"], WINDOW, 40_000)] * 30
    slow = tenant_settings().model_copy(update={"requests_per_second": 1})
    assert "about 5 minutes" in outlook(chunks, slow)
