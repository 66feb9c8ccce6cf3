"""Receives ServiceTitan's webhooks and says that an entity has something new; nothing of their data is used.

ServiceTitan calls again after anything but a 2xx, up to four times, and promises neither order nor that each event comes
once. What it sends is a hint that a sync is due, and the schedule remains what makes sure.
"""

import base64
import hashlib
import hmac
import json
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeGuard

import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from st_kpi.errors import ConfigurationError
from st_kpi.settings import Settings

#: Told of each event that is new and concerns an entity: ``(tenant_id, entity, event_id)``.
Emit = Callable[[int, str, str], None]

PATH = "/webhooks/servicetitan"
SIGNATURE = "x-servicetitan-signature"
MAX_BYTES = 64 * 1024
REMEMBERED = 10_000

#: What an event's type begins with, its letters alone and without a prefix such as ``tn.jpm.``, and the entity to sync.
ENTITIES = {
    "jobappointment": "appointments",
    "technicianassigned": "appointments",
    "techniciandispatched": "appointments",
    "jobscheduled": "appointments",
    "jobrescheduled": "appointments",
    "job": "jobs",
    "invoice": "invoices",
    "estimate": "estimates",
    "payment": "payments",
    "customer": "customers",
    "location": "locations",
}


def required_settings(settings: Settings) -> tuple[int, SecretStr]:
    """The tenant and the secret of its webhooks; raises ``ConfigurationError`` naming what is missing."""
    if settings.tenant_id is None or settings.webhook_secret is None:
        names = ("tenant_id", "webhook_secret")
        missing = [f"ST_KPI_{n.upper()}" for n in names if getattr(settings, n) is None]
        raise ConfigurationError(
            f"Webhooks cannot be told from forgeries: set {' and '.join(missing)}. The secret is the HMAC key of the"
            " app's webhooks in ServiceTitan's developer portal."
        )
    return settings.tenant_id, settings.webhook_secret


def entity_of(event_type: str) -> str | None:
    """The entity that an event of this type concerns; None for types that no KPI is made of.

    >>> entity_of("InvoicePosted"), entity_of("tn.jpm.job-completed"), entity_of("LeadCreated")
    ('invoices', 'jobs', None)
    """
    letters = re.sub("[^a-z]", "", event_type.rsplit(".", 1)[-1].lower())
    return next((name for start, name in ENTITIES.items() if letters.startswith(start)), None)


def signed(body: bytes, signature: str, secret: SecretStr) -> bool:
    """Whether the signature is the body's HMAC-SHA256, as hexadecimal digits or base64: which one is not documented."""
    wanted = hmac.new(secret.get_secret_value().encode(), body, hashlib.sha256).digest()
    given = signature.strip().removeprefix("sha256=").encode("ascii", "replace")
    as_hex = hmac.compare_digest(wanted.hex().encode(), given.lower())
    as_base64 = hmac.compare_digest(base64.b64encode(wanted), given)
    return as_hex or as_base64


def create_app(tenant_id: int, secret: SecretStr, emit: Emit) -> Starlette:
    """The receiver for one tenant. ``emit`` must not wait: ServiceTitan does."""
    seen: OrderedDict[str, None] = OrderedDict()

    async def receive(request: Request) -> Response:
        body = await _bounded(request)
        if body is None:
            return _answer(413, f"A webhook has at most {MAX_BYTES:,} bytes.")
        if not signed(body, request.headers.get(SIGNATURE, ""), secret):
            return _answer(401, f"The header {SIGNATURE} is not the HMAC-SHA256 of the body.")
        event = _event(body)
        if event is None:
            return _answer(400, "A webhook is a JSON object with an id and a type.")
        entity = entity_of(event.type)
        if entity is None or not _is_ours(event, tenant_id):
            return _answer(202, "Nothing to do.")
        if event.id in seen:
            return _answer(202, "Known already.")
        emit(tenant_id, entity, event.id)
        seen[event.id] = None
        if len(seen) > REMEMBERED:
            seen.popitem(last=False)
        return _answer(202, f"A sync of {entity} is due.")

    async def health(request: Request) -> Response:
        return _answer(200, "Ready.")

    return Starlette(
        routes=[Route(PATH, receive, methods=["POST"]), Route("/health", health, methods=["GET"])]
    )


def serve(host: str, port: int, tenant_id: int, secret: SecretStr, emit: Emit) -> None:
    """Receive webhooks until stopped."""
    app = create_app(tenant_id, secret, emit)
    uvicorn.run(app, host=host, port=port, log_level="info", access_log=False)


async def _bounded(request: Request) -> bytes | None:
    """The body, read no further than it may be long; None for a longer one."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            return None
    return bytes(body)


@dataclass(frozen=True)
class _Event:
    """What an envelope says: its id, its type, and the tenants that are named anywhere in it."""

    id: str
    type: str
    tenants: frozenset[str]


def _event(body: bytes) -> _Event | None:
    """The envelope, when it is one; of a name that is there twice no value is overlooked."""
    tenants: set[str] = set()

    def noted(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        named = [value for name, value in pairs if name.lower() in ("tenantid", "tenant_id")]
        tenants.update(str(value) for value in named if value is not None)
        return dict(pairs)

    try:
        event = json.loads(body, object_pairs_hook=noted)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict):
        return None
    id_, type_ = event.get("id"), event.get("type")
    if not (_is_word(id_) and _is_word(type_)):
        return None
    return _Event(id_, type_, frozenset(tenants))


def _is_word(text: object) -> TypeGuard[str]:
    """True for a short text that can be kept: half a surrogate pair, or a NUL, cannot."""
    return isinstance(text, str) and 0 < len(text) <= 200 and text.isprintable()


def _is_ours(event: _Event, tenant_id: int) -> bool:
    """An app may be connected to several tenants, and all their events come with the same key."""
    return event.tenants <= {str(tenant_id)}


def _answer(status: int, told: str) -> Response:
    return JSONResponse({"message": told}, status)
