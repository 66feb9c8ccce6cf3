"""Customers and their places: made-up names, some of them with `test`, quotes or accents inside."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from st_kpi.sandbox.clock import MINUTE
from st_kpi.sandbox.company import Company, Customer, Location
from st_kpi.sandbox.names import MARKET_SIZES
from st_kpi.sandbox.reference import NOW, OPENING

_FIRST = [
    "Fern",
    "Sage",
    "Olive",
    "Hazel",
    "Basil",
    "Juniper",
    "Rowan",
    "Linden",
    "Maple",
    "Aspen",
    "Clover",
    "Poppy",
    "Iris",
    "Laurel",
    "Myrtle",
    "Reed",
    "Ash",
    "Cedar",
    "Heather",
    "Ivy",
    "Jasmine",
    "Violet",
    "Yarrow",
    "Thyme",
    "Sorrel",
    "Saffron",
    "Pepper",
    "Nutmeg",
]
_LAST = [
    "Example",
    "Sample",
    "Placeholder",
    "Demo",
    "Specimen",
    "Madeup",
    "Fictional",
    "Pretend",
    "Invented",
    "Dummy",
]
_ODD = (
    "Zo\u00eb Beispiel-\u00dcnl\u00fc",
    'Kit "Ace" O\'Sample',
    "Muster & S\u00f6hne <Beispiel>",
    "\u4f8b\u3048 Sample",
    "Back\\slash Example\tTab",
)
_TEST_NAMES = (
    "TEST customer",
    "Do not use - test",
    "Greatest Homes Example",
    "Contest Winner Sample",
    "tEsT account",
)
_COMPANIES = ("Sample Plaza LLC", "Example HOA", "Placeholder Builders Inc.", "Demo Offices, Ltd")
_MARKET_TABLE = [n for n, size in enumerate(MARKET_SIZES) for _ in range(size)]


@dataclass(slots=True)
class Place:
    """A location with the market that serves it."""

    customer_id: int
    location_id: int
    market: int


class People:
    """Hands out places in step with the plan: new customers, second places, returning ones."""

    def __init__(self, company: Company, rng: Random, customers: int, locations: int) -> None:
        self.company = company
        self.rng = rng
        self.customers = customers
        self.locations = max(locations, customers)
        self.places: list[Place] = []

    def place_for(self, created: int, progress: float) -> Place:
        """The place of a new request; `progress` (0 to 1) is the share of requests seen so far."""
        if len(self.company.customers) < self.customers * progress:
            return self._new_customer(created)
        if len(self.places) < self.locations * progress:
            return self._new_location(
                self.any_place().customer_id, self.any_place().market, created
            )
        return self.any_place()

    def finish(self) -> None:
        """Bring both lists to the planned counts."""
        while len(self.company.customers) < self.customers:
            self._new_customer(NOW - len(self.places) * MINUTE)
        while len(self.places) < self.locations:
            place = self.any_place()
            self._new_location(place.customer_id, place.market, NOW - MINUTE)

    def any_place(self) -> Place:
        """A place already known."""
        return self.places[int(self.rng.random() * len(self.places))]

    def _new_customer(self, created: int) -> Place:
        rng, n = self.rng, len(self.company.customers)
        commercial = rng.random() < 0.08
        born = max(OPENING, created - int(rng.random() * 30) * MINUTE)
        customer = Customer(
            id=6_000_000 + 11 * n,
            name=self._name(n, commercial),
            created=born,
            modified=min(NOW, born + int(rng.random() * rng.random() * 900) * 1440 * MINUTE),
            commercial=commercial,
            active=rng.random() > 0.01,
        )
        if not customer.active and n > 10 and rng.random() < 0.5:
            customer.merged_to_id = self.company.customers[n - 1 - int(rng.random() * 9)].id
        self.company.customers.append(customer)
        market = _MARKET_TABLE[int(rng.random() * len(_MARKET_TABLE))]
        return self._new_location(customer.id, market, born)

    def _new_location(self, customer_id: int, market: int, created: int) -> Place:
        n = len(self.places)
        location = Location(
            id=8_000_000 + 7 * n,
            customer_id=customer_id,
            name=f"Place {n + 1} Sample",
            created=created,
            modified=min(NOW, created + int(self.rng.random() * 200) * 1440 * MINUTE),
            active=self.rng.random() > 0.01,
        )
        self.company.locations.append(location)
        place = Place(customer_id, location.id, market)
        self.places.append(place)
        return place

    def _name(self, n: int, commercial: bool) -> str:
        draw = self.rng.random()
        if draw < 0.004 or n == 3:
            return _TEST_NAMES[n % len(_TEST_NAMES)]
        if draw < 0.008 or n == 5:
            return _ODD[n % len(_ODD)]
        if commercial:
            return f"{_COMPANIES[n % len(_COMPANIES)]} {n}"
        return f"{_FIRST[n % len(_FIRST)]} {_LAST[n // 7 % len(_LAST)]}"
