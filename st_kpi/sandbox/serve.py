"""Run the tenant on localhost, for the demo and for trying things by hand."""

from __future__ import annotations

import gc
import socket
from typing import Any

import uvicorn

from st_kpi.sandbox.app import create_app
from st_kpi.sandbox.company import Company
from st_kpi.sandbox.faults.app import Faults, misbehave
from st_kpi.sandbox.generate import generate_company


class _AnnouncingServer(uvicorn.Server):
    """Says where it listens, once it does: a parent process waits for this line."""

    def __init__(self, config: uvicorn.Config, line: str) -> None:
        super().__init__(config)
        self._line = line

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self._line, flush=True)


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    company: Company | None = None,
    *,
    seed: int = 7,
    scale: float = 0.05,
    requests_per_second: int = 60,
    token_seconds: int = 900,
    report_seconds: float = 60.0,
    faults: Faults | None = None,
) -> None:
    """Serve until interrupted; port 0 picks a free one, told on the line printed to stdout.

    Example: `serve(port=8099, scale=0.02, faults=Faults.parse(["bad-gateway"]))`.
    """
    listener = listen(host, port)
    tenant = company if company is not None else generate_company(seed, scale)
    gc.collect()
    gc.set_threshold(100_000, 20, 20)  # a page is many dicts and no garbage
    gc.freeze()  # the company lives as long as the process; spare each collection from it
    app: Any = create_app(
        tenant,
        requests_per_second=requests_per_second,
        token_seconds=token_seconds,
        report_seconds=report_seconds,
    )
    if faults is not None and faults.faults:
        app = misbehave(app, faults)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        date_header=False,  # the app writes its own
        server_header=False,
        lifespan="off",
    )
    where = f"http://{host}:{listener.getsockname()[1]}"
    _AnnouncingServer(config, f"sandbox tenant {tenant.tenant_id} on {where}").run([listener])


def listen(host: str, port: int) -> socket.socket:
    """Bind; before generating, so that a taken port fails at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or asyncio leaves Nagle's algorithm on and each answer takes 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener
