"""When answers came, by the source's clock."""

from datetime import UTC, datetime, timedelta

from st_kpi.servicetitan.clock import SourceClock

NOON = datetime(2025, 10, 21, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)


def test_answers_are_in_the_order_in_which_they_came() -> None:
    """Of one second, of a server that is behind the others, and of one that tells no time."""
    clock = SourceClock()
    told = [NOON, NOON, NOON - SECOND, None, NOON + SECOND, None]
    assert [clock.moment(time) - NOON for time in told] == [
        0 * TICK,
        TICK,
        2 * TICK,
        3 * TICK,
        SECOND,
        SECOND + TICK,
    ]


def test_our_clock_stands_in_only_until_theirs_is_known() -> None:
    clock, before = SourceClock(), datetime.now(UTC)
    assert before <= clock.moment(None) <= datetime.now(UTC)
    assert clock.moment(NOON) == NOON
