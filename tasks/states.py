"""How a run ended, as a sentence in the dashboard."""

from typing import TypeVar, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.states import Completed

T = TypeVar("T")

#: On a run that ended well and has something that a person should look at.
WARNINGS = "warnings"


def completed(result: T, sentence: str) -> T:
    """End a flow with ``result`` and a sentence that the dashboard shows as its state's message.

    Prefect gives the caller the result of the state that a flow returns, hence the type.
    """
    return cast(T, Completed(data=result, message=sentence))


async def tag_warnings() -> None:
    """Tag the run under way, so that the list of runs shows which to look at.

    Its state stays ``Completed``: automations wait for that name.
    """
    async with get_client() as client:
        await client.update_flow_run(UUID(flow_run.id), tags=[*flow_run.tags, WARNINGS])


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun.

    >>> counted(1, "chunk", "chunks"), counted(1200, "entity", "entities")
    ('1 chunk', '1,200 entities')
    """
    return f"{number:,} {one if number == 1 else many}"
