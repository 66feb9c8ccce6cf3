"""The blocks that show how far each entity is read."""

from typing import Any

import pytest
from prefect.blocks.core import Block

from tasks.watermarks import EntityWatermark


@pytest.mark.parametrize("how", [{}, {"by_alias": False}, {"mode": "serialization"}])
def test_the_remembered_schema_is_prefects_own_and_nobodys_to_change(how: dict[str, Any]) -> None:
    own = Block.model_json_schema.__func__(EntityWatermark, **how)  # type: ignore[attr-defined]
    EntityWatermark.model_json_schema(**how).clear()
    assert EntityWatermark.model_json_schema(**how) == own
