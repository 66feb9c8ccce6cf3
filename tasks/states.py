"""How a run ended, as a sentence in the dashboard."""

from typing import TypeVar, cast

from prefect.states import Completed

T = TypeVar("T")


def completed(result: T, sentence: str) -> T:
    """End a flow with ``result`` and a sentence that the dashboard shows as its state's message.

    Prefect gives the caller the result of the state that a flow returns, hence the type.
    """
    return cast(T, Completed(data=result, message=sentence))
