"""The sandbox tenant on a socket of this process, for tests that need real HTTP and a company they can change."""

import socket
import threading
from collections.abc import Callable
from datetime import date
from random import Random

import uvicorn

from st_kpi.sandbox import Books, Company, create_app
from st_kpi.sandbox.faults.app import misbehave
from st_kpi.sandbox.faults.names import Faults
from st_kpi.sandbox.life.day import live


class Tenant:
    """The sandbox on a socket; ``refuse`` names paths that answer 404, ``before`` sees each request first.

    ``faults`` are spelled as for ``st-kpi sandbox serve --fault``; ``misbehave`` exchanges them.
    """

    def __init__(self, company: Company, *faults: str, feed_page: int = 200) -> None:
        self.company = company
        self.refuse: set[str] = set()
        self.before: Callable[[str, str], None] = lambda path, query: None
        self._app = create_app(company, requests_per_second=10_000, feed_page=feed_page)
        self.misbehave(*faults)

        async def gate(scope, receive, send):  # type: ignore[no-untyped-def]
            self.before(scope["path"], scope["query_string"].decode())
            if any(part in scope["path"] for part in self.refuse):
                scope = scope | {"path": "/nowhere"}
            await self._faulty(scope, receive, send)

        # Named as TCP, else asyncio leaves Nagle's algorithm on, and each answer takes 40 ms.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        config = uvicorn.Config(gate, log_level="error", date_header=False, lifespan="off")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([self._listener],))

    def __enter__(self) -> "Tenant":
        self.thread.start()  # a request waits until the server takes it
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join()
        self._listener.close()

    def misbehave(self, *faults: str, seed: int = 1) -> None:
        """From now on with these faults only."""
        self._faulty = misbehave(self._app, Faults.parse(faults, seed))

    def live(self, changes: int = 150, seed: int = 1) -> None:
        """A day at the company; units keep their names, which the mapping knows them by."""
        live(self.company, Random(seed), changes, renames=False)

    def books(self) -> dict[tuple[str, date, str], tuple[object, object]]:
        cells = Books(self.company).weekly(self.company.last_day).items()
        return {key: (cell.numerator, cell.denominator or 0) for key, cell in cells}
