"""Bodies of answers, good ones and errors."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.responses import Response

_TITLES = {
    400: "One or more validation errors occurred.",
    401: "Unauthorized",
    403: "Access denied: the application or the tenant is not allowed.",
    404: "Not found",
}


class Problem:
    """Error bodies as RFC 7807 objects, each with its own trace id."""

    def __init__(self) -> None:
        self._made = 0

    def __call__(
        self,
        status: int,
        title: str | None = None,
        errors: dict[str, list[str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        self._made += 1
        body = {
            "type": f"https://httpstatuses.io/{status}",
            "title": title or _TITLES[status],
            "status": status,
            "traceId": f"00-{self._made:032x}-{status:016x}-00",
            "errors": errors or {},
            "data": {},
        }
        return json_answer(body, status, headers)


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Anything as JSON."""
    return Response(orjson.dumps(body), status, headers, media_type="application/json")
