"""The time zone that the addresses of a tenant's business units lie in, as a proposal: ServiceTitan tells no zone."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_EASTERN, _CENTRAL, _MOUNTAIN, _PACIFIC = (
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
)


def _all(states: str, zone: str) -> dict[str, str]:
    return dict.fromkeys(states.split(), zone)


#: The zone in which most people of a state live.
_STATES = {
    **_all("CT DC DE FL GA IN KY MA MD ME MI NC NH NJ NY OH PA RI SC VA VT WV", _EASTERN),
    **_all("AL AR IA IL KS LA MN MO MS ND NE OK SD TN TX WI", _CENTRAL),
    **_all("CO ID MT NM UT WY", _MOUNTAIN),
    **_all("CA NV OR WA", _PACIFIC),
    "AZ": "America/Phoenix",
    "AK": "America/Anchorage",
    "HI": "Pacific/Honolulu",
}
_PROVINCES = {
    "AB": "America/Edmonton",
    "BC": "America/Vancouver",
    "MB": "America/Winnipeg",
    "NB": "America/Moncton",
    "NL": "America/St_Johns",
    "NS": "America/Halifax",
    "ON": "America/Toronto",
    "PE": "America/Halifax",
    "QC": "America/Toronto",
    "SK": "America/Regina",
}
#: States that lie in two zones.
_DIVIDED = _all("AK FL ID IN KS KY MI ND NE OR SD TN TX", "").keys()
_COUNTRIES = {
    **dict.fromkeys(("", "us", "usa", "united states"), _STATES),
    **dict.fromkeys(("ca", "can", "canada"), _PROVINCES),
}


@dataclass(frozen=True)
class ZoneProposal:
    """A zone, and from what it follows, in a sentence."""

    zone: str
    because: str


def propose_zone(addresses: Iterable[Mapping[str, Any] | None]) -> ZoneProposal | None:
    """The zone of most addresses; None where no state of any is known."""
    states = [state for address in addresses if address and (state := _state(address))]
    if not states:
        return None
    zones = Counter(zone for _, zone in states)
    (zone, most), *others = zones.most_common()
    names = Counter(name for name, of in states if of == zone)
    because = f"{most} of {len(states)} business units with a known address lie in {', '.join(sorted(names))}."
    if others:
        because += f" Others lie in {', '.join(of for of, _ in others)}: one zone dates them all."
    if divided := sorted(_DIVIDED & names.keys()):
        because += f" {', '.join(divided)} lies in two zones, so look twice."
    return ZoneProposal(zone, because)


def _state(address: Mapping[str, Any]) -> tuple[str, str] | None:
    """Two letters and their zone."""
    country = str(address.get("country") or "").strip().casefold().rstrip(".")
    state = str(address.get("state") or "").strip().upper()
    zone = _COUNTRIES.get(country, {}).get(state)
    return (state, zone) if zone else None
