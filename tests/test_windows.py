"""Windows, local days and the splitting of a backfill into chunks."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from st_kpi.windows import (
    Window,
    covering,
    days,
    differing,
    midnight,
    missing,
    months,
    split,
)

PHOENIX = ZoneInfo("America/Phoenix")
NEW_YORK = ZoneInfo("America/New_York")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "first", "last", "start", "end"),
    [
        pytest.param(PHOENIX, "2025-01-06", "2025-01-12", "2025-01-06T07:00", "2025-01-13T07:00",
                     id="a week in Phoenix begins at seven UTC"),
        pytest.param(NEW_YORK, "2025-03-09", "2025-03-09", "2025-03-09T05:00", "2025-03-10T04:00",
                     id="the day clocks go forward has 23 hours"),
        pytest.param(NEW_YORK, "2025-11-02", "2025-11-02", "2025-11-02T04:00", "2025-11-03T05:00",
                     id="the day clocks go back has 25 hours"),
    ],
)  # fmt: skip
def test_days_are_the_zones(zone: ZoneInfo, first: str, last: str, start: str, end: str) -> None:
    window = days(date.fromisoformat(first), date.fromisoformat(last), zone)
    assert window == Window(at(start), at(end))
    assert window.label(zone) == f"{first}..{last}"


def test_label_of_a_window_cut_short_names_the_day_it_ends_in() -> None:
    window = Window(midnight(date(2025, 1, 6), PHOENIX), at("2025-01-08T15:00"))
    assert window.label(PHOENIX) == "2025-01-06..2025-01-08"


def hours(*pairs: tuple[int, int]) -> list[Window]:
    zero = at("2025-01-01T00:00")
    return [Window(zero + timedelta(hours=a), zero + timedelta(hours=b)) for a, b in pairs]


@pytest.mark.parametrize(
    ("done", "gaps"),
    [
        pytest.param([], [(0, 10)], id="nothing done, all is missing"),
        pytest.param([(0, 10)], [], id="all done"),
        pytest.param([(0, 4), (4, 10)], [], id="two that touch leave no gap"),
        pytest.param([(6, 8), (2, 4)], [(0, 2), (4, 6), (8, 10)], id="unsorted, gaps between"),
        pytest.param([(0, 6), (2, 4)], [(6, 10)], id="one inside another"),
        pytest.param([(-5, 1), (9, 20)], [(1, 9)], id="reaching over both ends"),
        pytest.param([(-5, 0), (10, 12)], [(0, 10)], id="outside"),
    ],
)
def test_missing(done: list[tuple[int, int]], gaps: list[tuple[int, int]]) -> None:
    assert missing(hours((0, 10))[0], hours(*done)) == hours(*gaps)


def drive(
    window: Window, zone: ZoneInfo, limit: int, created: list[datetime]
) -> list[tuple[Window, int]]:
    """Run the splitting with a source whose records were created at ``created``."""
    steps = split(window, zone, limit)
    asked = next(steps)
    while True:
        try:
            asked = steps.send(sum(asked.start <= t < asked.end for t in created))
        except StopIteration as stop:
            plans: list[tuple[Window, int]] = stop.value
            return plans


@given(
    zone=st.sampled_from([PHOENIX, NEW_YORK, ZoneInfo("UTC")]),
    limit=st.integers(1, 20),
    offsets=st.lists(st.integers(0, 400 * 86_400 - 1), max_size=200),
)
def test_split_covers_the_window_once_and_keeps_chunks_small(
    zone: ZoneInfo, limit: int, offsets: list[int]
) -> None:
    window = Window(at("2024-01-01T12:34"), at("2024-01-01T12:34") + timedelta(days=400))
    created = [window.start + timedelta(seconds=n) for n in offsets]
    plans = drive(window, zone, limit, created)
    assert plans[0][0].start == window.start
    assert plans[-1][0].end == window.end
    assert all(a.end == b.start for (a, _), (b, _) in pairwise(plans))
    assert sum(rows for _, rows in plans) == len(created)
    for plan in plans:
        local = plan[0].start.astimezone(zone).date()
        one_day = plan[0].end <= midnight(local + timedelta(days=1), zone)
        assert plan[1] <= limit or one_day
    for plan in plans[:-1]:
        assert plan[0].end.astimezone(zone).hour == 0


def test_an_empty_window_is_one_empty_chunk() -> None:
    window = days(date(2020, 1, 1), date(2024, 12, 31), PHOENIX)
    assert drive(window, PHOENIX, 1000, []) == [(window, 0)]


def test_days_side_by_side_are_one_window() -> None:
    """Over the day clocks go forward, too."""
    wanted = [date(2025, 3, 10), date(2025, 3, 8), date(2025, 3, 9), date(2025, 3, 20)]
    first, second = covering(wanted, NEW_YORK)
    assert first.label(NEW_YORK) == "2025-03-08..2025-03-10"
    assert first.end - first.start == timedelta(hours=71)
    assert second.label(NEW_YORK) == "2025-03-20..2025-03-20"
    assert covering([], NEW_YORK) == []


@pytest.mark.parametrize(("apart", "windows"), [(0, 2), (9, 2), (10, 1)])
def test_days_not_far_apart_share_a_window(apart: int, windows: int) -> None:
    wanted = [date(2025, 3, 9), date(2025, 3, 20)]
    found = covering(wanted, NEW_YORK, apart)
    assert len(found) == windows
    assert found[0].start == days(wanted[0], wanted[0], NEW_YORK).start
    assert found[-1].end == days(wanted[1], wanted[1], NEW_YORK).end


def test_months_are_the_zones_and_the_ends_are_cut() -> None:
    window = Window(at("2024-12-15T12:00"), at("2025-02-01T07:00"))
    labels = [month.label(PHOENIX) for month in months(window, PHOENIX)]
    assert labels == ["2024-12-15..2024-12-31", "2025-01-01..2025-01-31"]


@given(
    wrong=st.sets(st.integers(min_value=0, max_value=30)),
    zone=st.sampled_from([PHOENIX, NEW_YORK]),
)
def test_narrowing_finds_exactly_the_days_that_differ(wrong: set[int], zone: ZoneInfo) -> None:
    first = date(2025, 3, 1)
    bad = [days(first + timedelta(n), first + timedelta(n), zone) for n in sorted(wrong)]
    steps = differing(days(first, date(2025, 3, 31), zone), zone)
    window: Window | None = next(steps)
    found: list[Window] = []
    while window is not None:
        agrees = not any(day.start < window.end and window.start < day.end for day in bad)
        try:
            window = steps.send(agrees)
        except StopIteration as stop:
            window, found = None, stop.value
    assert found == bad
