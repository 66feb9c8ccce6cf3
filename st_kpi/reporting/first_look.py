"""What a tenant tells of itself before anything is loaded: its units, its job types, and where it lies."""

from dataclasses import dataclass
from typing import Any

import msgspec

from st_kpi.kpis.guesses import JobKind, Unit
from st_kpi.servicetitan.client import ServiceTitan
from st_kpi.servicetitan.registry import REGISTRY
from st_kpi.servicetitan.zones import ZoneProposal, propose_zone


@dataclass(frozen=True)
class FirstLook:
    """Units and types as the source lists them, retired ones too; the zone is None where no address tells one."""

    units: list[Unit]
    kinds: list[JobKind]
    zone: ZoneProposal | None


async def look(source: ServiceTitan) -> FirstLook:
    """Read both short lists; raises ``SourceError``."""
    units = await _records(source, "business_units")
    kinds = await _records(source, "job_types")
    return FirstLook(
        [Unit(one["id"], one.get("name") or "", one.get("active") is not False) for one in units],
        [
            JobKind(
                one["id"],
                one.get("name") or "",
                one.get("active") is not False,
                one.get("class") or "",
                bool(one.get("noCharge")),
            )
            for one in kinds
        ],
        propose_zone(one.get("address") for one in units if one.get("active") is not False),
    )


async def _records(source: ServiceTitan, name: str) -> list[dict[str, Any]]:
    pages = [page async for page in source.pages(REGISTRY[name])]
    return [msgspec.json.decode(record) for page in pages for record in page.records]
