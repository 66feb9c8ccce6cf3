"""The made-up tenant that writes each page once and then answers from memory, so that it is not what is measured.

    python tenant.py --port 0 --scale 1.0 [--fault long-records#8]

Ask for everything once before measuring: the second asking of the same page costs next to nothing.
"""

import argparse
import gc
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

from st_kpi.sandbox.app import create_app
from st_kpi.sandbox.faults.app import Faults, misbehave
from st_kpi.sandbox.generate import generate_company
from st_kpi.sandbox.serve import listen

Message = MutableMapping[str, Any]
App = Callable[..., Awaitable[None]]


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--fault", action="append", default=[])
    options = parser.parse_args()
    company = generate_company(scale=options.scale)
    gc.collect()
    gc.freeze()
    app: Any = create_app(company, requests_per_second=100_000)
    if options.fault:
        app = misbehave(app, Faults.parse(options.fault))
    listener = listen("127.0.0.1", options.port)
    print(f"tenant on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        remembering(app), log_level="warning", access_log=False, lifespan="off", date_header=False
    )
    uvicorn.Server(config).run([listener])


def remembering(app: App) -> App:
    """The app, of which each full page of a list is written once; all else is passed on."""
    answers: dict[bytes, list[Message]] = {}

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        query = scope.get("query_string", b"")
        # Counts, exports and sandbox pages are cheap or change; a page asked for by its size does not.
        if scope["method"] != "GET" or b"pageSize=1&" in query or b"pageSize" not in query:
            await app(scope, receive, send)
            return
        key = scope["raw_path"] + b"?" + query
        if key not in answers:
            told: list[Message] = []

            async def keep(message: Message) -> None:
                told.append(message)

            await app(scope, receive, keep)
            if told[0]["status"] != 200:
                for message in told:
                    await send(message)
                return
            answers[key] = told
        for message in answers[key]:
            await send(message)

    return answer


if __name__ == "__main__":
    main()
