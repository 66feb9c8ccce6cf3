"""A proxy in front of the emulator that fails as BigQuery does: emulators never do."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

import httpx

#: Status and reason of an answer instead of the real one; "lost" lets the request through and loses its answer, "silent"
#: takes the request and says nothing, ever; a function changes the real answer.
Fault = tuple[int, str] | str | Callable[[Any], None] | None


P = TypeVar("P", bound="Faulty")


class Silence(Exception):
    """The request is not answered, and its connection stays open."""


def job_says(state: str, reason: str = "", message: str = "Told by the proxy") -> Fault:
    """Of a job that it is in this state, whatever is true, and failed for this reason."""

    def change(job: Any) -> None:
        job["status"] = {"state": state}
        if reason:
            job["status"]["errorResult"] = {"reason": reason, "message": message}

    return change


class Faulty:
    """What happens to each request: ``fault`` is asked with its method and path."""

    def __init__(self, url: str) -> None:
        self.fault: Callable[[str, str], Fault] = lambda method, path: None
        self.message = "Told by the proxy"
        self.failed: list[str] = []
        self._target = url
        self._lock = threading.Lock()
        self.url = ""

    def first(self, times: int, *faults: Fault) -> None:
        """Each path fails with each fault in turn, ``times`` in all, and then works."""
        seen: dict[str, int] = {}

        def fault(method: str, path: str) -> Fault:
            kind = f"{method} {path.split('?')[0].rsplit('/', 1)[0]}"
            with self._lock:
                seen[kind] = seen.get(kind, 0) + 1
                return faults[seen[kind] % len(faults)] if seen[kind] <= times else None

        self.fault = fault

    def answer(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> httpx.Response | None:
        fault = self.fault(method, path)
        if fault is not None:
            with self._lock:
                self.failed.append(f"{method} {path}")
        if isinstance(fault, tuple):
            status, reason = fault
            error = {"reason": reason, "message": self.message, "domain": "global"}
            return httpx.Response(
                status,
                json={"error": {"code": status, "message": self.message, "errors": [error]}},
            )
        if fault == "silent":
            raise Silence
        headers = {k: v for k, v in headers.items() if k.lower() not in ("host", "accept-encoding")}
        # With verify=False no list of certificates is read each time: the other side is on this machine.
        real = httpx.request(
            method, self._target + path, headers=headers, content=body, timeout=300, verify=False
        )
        if callable(fault):
            told = real.json()
            fault(told)
            return httpx.Response(real.status_code, json=told)
        return None if fault == "lost" else real


@contextmanager
def faulty(url: str) -> Iterator[Faulty]:
    """The proxy on a port of its own, before the emulator at ``url``."""
    with served(Faulty(url)) as proxy:
        yield proxy


@contextmanager
def served(proxy: P) -> Iterator[P]:
    """The proxy on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                answer = proxy.answer(self.command, self.path, dict(self.headers), body)
            except Silence:
                self.rfile.read(1)  # until the client gives up
                answer = None
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status_code)
            self.send_header("Content-Type", answer.headers.get("content-type", "text/plain"))
            if place := answer.headers.get("location"):  # of a large upload
                self.send_header("Location", place)
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
