"""Reports that are queried now and fetched later: tokens, and the one place a tenant has for them."""

from __future__ import annotations

from dataclasses import dataclass

from st_kpi.sandbox.reports.shown import Shown


@dataclass(slots=True)
class _Query:
    token: str
    shown: Shown
    polls_left: int


class Queries:
    """At most one query of a tenant runs at a time; fetching or canceling it frees the place."""

    def __init__(self) -> None:
        self._made = 0
        self._running: _Query | None = None

    @property
    def busy(self) -> bool:
        """Whether the place is taken."""
        return self._running is not None

    def start(self, shown: Shown, polls: int) -> str:
        """Take the place; the token of a query that is ready at that poll."""
        self._made += 1
        self._running = _Query(f"query-{self._made:06d}", shown, polls)
        return self._running.token

    def poll(self, token: str) -> Shown | None:
        """What was asked for, or None while it is not ready; raises KeyError for no such token."""
        query = self._find(token)
        query.polls_left -= 1
        if query.polls_left > 0:
            return None
        self._running = None
        return query.shown

    def cancel(self, token: str) -> None:
        """Free the place; raises KeyError for no such token."""
        self._find(token)
        self._running = None

    def _find(self, token: str) -> _Query:
        if self._running is None or self._running.token != token:
            raise KeyError(token)
        return self._running
