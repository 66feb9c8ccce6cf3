"""Access tokens and continuation tokens: opaque to a client, checked when they come back."""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

import orjson

from st_kpi.sandbox.company import SandboxCredentials

SCOPES = (
    "tn.jpm.jobs:r tn.jpm.appointments:r tn.sal.estimates:r tn.acc.invoices:r tn.acc.payments:r"
    " tn.pay.payrolls:r tn.inv.purchaseorders:r tn.crm.customers:r tn.set.businessunits:r"
)


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenDesk:
    """Hands out access tokens shaped like JWTs and knows until when each is good."""

    def __init__(self, seconds: int, clock: Callable[[], float]) -> None:
        self.seconds = seconds
        self.issued = 0
        self._clock = clock
        self._until: dict[str, float] = {}

    def issue(self) -> str:
        """A new token."""
        self.issued += 1
        head = _encode(orjson.dumps({"alg": "none", "typ": "JWT"}))
        body = {
            "client_id": SandboxCredentials.CLIENT_ID,
            "scope": SCOPES.split(),
            "n": self.issued,
        }
        token = f"{head}.{_encode(orjson.dumps(body))}.sandbox"
        self._until[token] = self._clock() + self.seconds
        return token

    def valid(self, header: str) -> bool:
        """Whether an Authorization header carries a token that is still good."""
        scheme, _, token = header.partition(" ")
        return scheme.lower() == "bearer" and self._clock() < self._until.get(token, -1.0)


def continuation(feed: str, stamp: int, key: int) -> str:
    """Where a feed stopped: the last row's change time and key."""
    body = f"{feed}|{stamp}|{key}"
    return _encode(f"{body}|{_seal(body)}".encode())


def parse_continuation(feed: str, token: str) -> tuple[int, int] | None:
    """The position inside a token, or None if it is not one of this feed."""
    try:
        text = urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except ValueError:
        return None
    body, _, seal = text.rpartition("|")
    if seal != _seal(body) or not body.startswith(f"{feed}|"):
        return None
    _, stamp, key = body.split("|")
    return int(stamp), int(key)


def _seal(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:12]
