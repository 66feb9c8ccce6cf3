"""Which zone addresses propose, and what is said of it."""

from zoneinfo import available_timezones

import pytest

from st_kpi.servicetitan import zones
from st_kpi.servicetitan.zones import propose_zone


def at(state: str | None, country: str | None = "USA") -> dict[str, str | None]:
    return {"state": state, "country": country}


CASES = [
    ([at("AZ"), at(" az "), at("AZ", None), None, at(None)], "America/Phoenix", "3 of 3 "),
    ([at("ON", "Canada"), at("ON", "CAN")], "America/Toronto", "lie in ON."),
    ([at("CO"), at("UT"), at("NV")], "America/Denver", "Others lie in America/Los_Angeles"),
    ([at("TX")], "America/Chicago", "TX lies in two zones"),
    ([at("NV", "U.S.A.")], None, ""),
    ([at("WA", "Australia")], None, ""),
    ([], None, ""),
]


@pytest.mark.parametrize(("addresses", "zone", "said"), CASES)
def test_the_zone_of_most(
    addresses: list[dict[str, str | None]], zone: str | None, said: str
) -> None:
    proposal = propose_zone(addresses)
    assert (proposal and proposal.zone) == zone
    assert said in (proposal.because if proposal else "")


def test_every_zone_exists() -> None:
    assert {*zones._STATES.values(), *zones._PROVINCES.values()} <= available_timezones()
    assert zones._STATES.keys() >= zones._DIVIDED
    assert len(zones._STATES) == 51
