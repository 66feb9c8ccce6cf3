"""The names of runs."""

from datetime import date

import pytest

from flows import refresh_kpis
from flows.parameters import zone_for_a_name


def test_wrong_settings_are_said_by_the_run_and_not_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run whose name cannot be made crashes, and says nothing."""
    assert zone_for_a_name() is None
    assert refresh_kpis._run_name() == "refresh KPIs as of today"
    monkeypatch.setenv("ST_KPI_TIMEZONE", "America/Phoenix")
    assert str(zone_for_a_name()) == "America/Phoenix"
    assert date.fromisoformat(refresh_kpis._run_name().removeprefix("refresh KPIs as of "))
    monkeypatch.setenv("ST_KPI_TIME_ZONE", "")
    assert zone_for_a_name() is None
