"""The blocks that show how far each entity is read."""

from datetime import UTC, datetime
from typing import Any

import pytest
from prefect.blocks.core import Block

from st_kpi.ingest.watermarks import Watermark, earlier
from tasks.watermarks import EntityWatermark, marks_of


@pytest.mark.parametrize("how", [{}, {"by_alias": False}, {"mode": "serialization"}])
def test_the_remembered_schema_is_prefects_own_and_nobodys_to_change(how: dict[str, Any]) -> None:
    own = Block.model_json_schema.__func__(EntityWatermark, **how)  # type: ignore[attr-defined]
    EntityWatermark.model_json_schema(**how).clear()
    assert EntityWatermark.model_json_schema(**how) == own


KNOWN = Watermark("w", datetime(2025, 10, 1, tzinfo=UTC), datetime(2025, 10, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "edited",
    [
        {"known_until": "soon"},
        {"known_until": "2090-01-01T00:00:00Z", "token": "far ahead"},
        {"known_until": "2025-10-01T00:00:00", "modified_on": "2025-10-01", "token": "w"},
        {"tenant_id": "ours"},
        {"tenant_id": 8},
        {"token": 7},
        {"entity": None},
        {},
    ],
    ids=lambda edited: str(edited),
)
def test_a_block_that_was_edited_moves_nothing_ahead(edited: dict[str, Any]) -> None:
    block = {"tenant_id": 7, "entity": "jobs", "token": "w", "known_until": "2025-10-01T00:00:00Z"}
    block["modified_on"] = "2025-10-01T00:00:00Z"
    for data in ([block | edited], [edited]):
        assert earlier("jobs", KNOWN, marks_of(data, 7).get("jobs")) == KNOWN


def test_a_block_of_the_year_one_is_read_from_the_beginning_of_all() -> None:
    block = {"tenant_id": 7, "entity": "jobs", "token": "x", "known_until": "0001-01-01T00:00:00"}
    mark = earlier("jobs", KNOWN, marks_of([block], 7)["jobs"])
    assert (mark.token, mark.since) == (None, datetime(1970, 1, 1, tzinfo=UTC))


def test_a_block_that_cannot_be_read_is_said(caplog: pytest.LogCaptureFixture) -> None:
    assert marks_of([{"tenant_id": 7, "entity": "jobs", "known_until": "soon"}], 7) == {}
    assert "The watermark block of jobs cannot be read (known_until)" in caplog.text
