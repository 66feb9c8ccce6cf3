"""The receiver of ServiceTitan's webhooks: what it takes, what it refuses, and that it trusts nothing."""

import base64
import hashlib
import hmac
import json
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from st_kpi.errors import ConfigurationError
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.webhooks import (
    ENTITIES,
    MAX_BYTES,
    PATH,
    SIGNATURE,
    create_app,
    entity_of,
    required_settings,
)
from st_kpi.settings import load_settings

SECRET = "0123456789abcdef0123456789abcdef"
TENANT = 42


class Receiver:
    """The receiver, and what it emitted; the first ``fails`` times that fails."""

    def __init__(self, fails: int = 0) -> None:
        self.emitted: list[tuple[int, str, str]] = []
        self._fails = fails
        app = create_app(TENANT, SecretStr(SECRET), self._emit)
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    def _emit(self, tenant_id: int, entity: str, event_id: str) -> None:
        self._fails -= 1
        if self._fails >= 0:
            raise OSError("no connection")
        self.emitted.append((tenant_id, entity, event_id))

    async def post(self, body: bytes, signature: str | None) -> int:
        headers = [] if signature is None else [(SIGNATURE.encode(), signature.encode("latin-1"))]
        async with httpx.AsyncClient(transport=self._transport) as client:
            answer = await client.post(f"http://here{PATH}", content=body, headers=headers)
        return answer.status_code

    async def send(self, **event: Any) -> int:
        body = json.dumps(event).encode()
        return await self.post(body, digest(body).hex())


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def digest(body: bytes, secret: str = SECRET) -> bytes:
    return hmac.new(secret.encode(), body, hashlib.sha256).digest()


async def test_an_event_starts_a_sync_of_its_entity_once(receiver: Receiver) -> None:
    event = {"id": "a", "type": "InvoicePosted", "data": {"invoice": {"id": 1, "total": "9e9"}}}
    assert [await receiver.send(**event) for _ in range(3)] == [202] * 3
    assert receiver.emitted == [(TENANT, "invoices", "a")]


@pytest.mark.parametrize("data", [{"tenantId": TENANT}, [{"tenantId": str(TENANT)}], None])
async def test_an_event_that_names_our_tenant_is_ours(receiver: Receiver, data: Any) -> None:
    assert await receiver.send(id="a", type="JobCompleted", tenantId=TENANT, data=data) == 202
    assert receiver.emitted == [(TENANT, "jobs", "a")]


BODY = json.dumps({"id": "a", "type": "JobCompleted"}).encode()


@pytest.mark.parametrize(
    "signature",
    [
        digest(BODY).hex(),
        digest(BODY).hex().upper(),
        f"sha256={digest(BODY).hex()}",
        base64.b64encode(digest(BODY)).decode(),
    ],
    ids=["hex", "upper-case", "with-its-kind", "base64"],
)
async def test_signatures_it_takes(receiver: Receiver, signature: str) -> None:
    assert await receiver.post(BODY, signature) == 202
    assert receiver.emitted == [(TENANT, "jobs", "a")]


@pytest.mark.parametrize(
    "signature",
    [None, "", digest(BODY, "another").hex(), digest(BODY + b" ").hex(), "\u00e9", "sha256="],
    ids=["none", "empty", "another-key", "another-body", "not-ascii", "nothing-behind-its-kind"],
)
async def test_what_is_not_signed_is_refused(receiver: Receiver, signature: str | None) -> None:
    assert await receiver.post(BODY, signature) == 401
    assert receiver.emitted == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"x" * (MAX_BYTES + 1), 413),
        (b"not json", 400),
        (b"[]", 400),
        (b'{"id": 1, "type": "JobCompleted"}', 400),
        (b'{"id": "", "type": "JobCompleted"}', 400),
        (b'{"type": "JobCompleted"}', 400),
        (b"\xff", 400),
        (
            b'{"id": "a", "type": "JobCompleted", "data": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
            400,
        ),
        (b'{"id": "a", "type": "JobCompleted", "n": ' + b"9" * 5_000 + b"}", 400),
        (b'{"id": "\\ud800", "type": "JobCompleted"}', 400),
        (b'{"id": "a\\u0000", "type": "JobCompleted"}', 400),
        (b'{"id": "a", "type": "LeadCreated"}', 202),
        (b'{"id": "a", "type": "JobCompleted", "tenantId": 43}', 202),
        (b'{"id": "a", "type": "JobCompleted", "TenantID": "43"}', 202),
        (b'{"id": "a", "type": "JobCompleted", "data": [{"tenantId": 43}]}', 202),
        (b'{"id": "a", "type": "JobCompleted", "tenantId": 43, "tenantId": 42}', 202),
        (
            b'{"id": "a", "type": "JobCompleted", "data": {"tenantId": 42, "job": {"tenantId": 43}}}',
            202,
        ),
        (b'{"id": "a", "type": "JobCompleted", "tenantId": [42]}', 202),
        (b'{"id": "a", "type": "JobCompleted", "data": {"tenantId": 43}}', 202),
    ],
    ids=[
        "too-long",
        "not-json",
        "a-list",
        "number-for-an-id",
        "empty-id",
        "no-id",
        "not-utf-8",
        "deep",
        "long-number",
        "half-an-emoji",
        "nul",
        "nothing-of-ours",
        "another-at-top-level",
        "another-in-another-case",
        "another-in-a-list",
        "another-first",
        "another-within",
        "a-list-of-tenants",
        "another-tenant",
    ],
)
async def test_what_starts_nothing(receiver: Receiver, body: bytes, status: int) -> None:
    assert await receiver.post(body, digest(body).hex()) == status
    assert receiver.emitted == []


async def test_an_event_that_could_not_be_told_is_taken_again() -> None:
    """ServiceTitan sends it again after an error, and must not be told that it is known."""
    receiver = Receiver(fails=1)
    assert [await receiver.send(id="a", type="JobCompleted") for _ in range(3)] == [500, 202, 202]
    assert receiver.emitted == [(TENANT, "jobs", "a")]


@pytest.mark.parametrize(
    ("event_type", "entity"),
    [
        ("JobCompleted", "jobs"),
        ("JobAppointmentUpdated", "appointments"),
        ("JobRescheduled", "appointments"),
        ("TechnicianDispatched", "appointments"),
        ("InvoiceTaskUpdated", "invoices"),
        ("tn.acc.invoice-posted", "invoices"),
        ("CallCompleted", None),
        ("", None),
    ],
)
def test_types_and_their_entities(event_type: str, entity: str | None) -> None:
    assert entity_of(event_type) == entity


def test_every_entity_that_a_webhook_may_name_is_one() -> None:
    assert set(ENTITIES.values()) <= set(REGISTRY)


def test_without_a_secret_nothing_is_served() -> None:
    with pytest.raises(ConfigurationError, match="set ST_KPI_TENANT_ID and ST_KPI_WEBHOOK_SECRET"):
        required_settings(load_settings())
    with pytest.raises(ConfigurationError, match="set ST_KPI_WEBHOOK_SECRET"):
        required_settings(load_settings(tenant_id=1, webhook_secret=SecretStr(" ")))
