"""What the work under way is called: where an engine can mark its jobs, it does so with these."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[Mapping[str, str]] = ContextVar("labels")


@contextmanager
def labels(**more: str | None) -> Iterator[None]:
    """Mark every job that is started inside, also in threads that are given this context.

    Usage: ``with labels(flow="build", run=run_id): ...``; labels set outside stay, those that are None are left out.
    """
    token = _current.set({**current_labels(), **{k: v for k, v in more.items() if v is not None}})
    try:
        yield
    finally:
        _current.reset(token)


def current_labels() -> Mapping[str, str]:
    """The labels of the work under way, as they were given."""
    return _current.get({})
