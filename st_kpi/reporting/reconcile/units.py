"""The business units that a report names, and what each counts for here on a day."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from st_kpi.kpis.mapping_file import folded
from st_kpi.warehouse.base import Warehouse


@dataclass(frozen=True)
class Stretch:
    """Rollup and role of a unit from one day to another, both included."""

    rollup: str | None
    role: str
    first: dt.date
    last: dt.date


class Units:
    """Units by id and by name, in any case and spacing, with the stretches of their mapping."""

    def __init__(
        self, names: Mapping[int, str], stretches: Mapping[int, tuple[Stretch, ...]]
    ) -> None:
        self._names = names
        self._stretches = stretches
        self._by_name: dict[str, list[int]] = {}
        for id_, name in names.items():
            self._by_name.setdefault(folded(name), []).append(id_)

    @classmethod
    def read(cls, warehouse: Warehouse, tenant_id: int) -> "Units":
        """The units of a tenant as the last build has them."""
        params = {"tenant_id": tenant_id}
        named = warehouse.query(
            "SELECT business_unit_id, business_unit FROM st_ref.dim_business_units"
            " WHERE tenant_id = @tenant_id",
            params,
        )
        mapped = warehouse.query(
            "SELECT business_unit_id, `rollup` AS rollup_name, role, valid_from, valid_to"
            " FROM st_ref.dim_bu_rollup WHERE tenant_id = @tenant_id",
            params,
        )
        stretches: dict[int, tuple[Stretch, ...]] = {}
        for r in mapped:
            stretch = Stretch(r["rollup_name"], r["role"], r["valid_from"], r["valid_to"])
            stretches[r["business_unit_id"]] = (*stretches.get(r["business_unit_id"], ()), stretch)
        return cls({r["business_unit_id"]: r["business_unit"] or "" for r in named}, stretches)

    def name(self, unit_id: int) -> str:
        """What a unit is called; its id where ServiceTitan does not list it any more."""
        return self._names.get(unit_id) or str(unit_id)

    def ids(self, name: str) -> list[int]:
        """The units of that name, or id; names need not be unique."""
        named = self._by_name.get(folded(name), [])
        by_id = [int(name)] if name.isdigit() and int(name) in self._names else []
        return named or by_id

    def places(
        self, ids: Iterable[int], first: dt.date, last: dt.date | None = None
    ) -> list[Stretch]:
        """What units count for on a day, or from one to another; nothing for those that are not mapped."""
        return [
            stretch
            for id_ in ids
            for stretch in self._stretches.get(id_, ())
            if stretch.first <= (last or first) and first <= stretch.last
        ]

    def spelt(self, name: str) -> str:
        """A unit's name as it is written here; one that nobody knows as it is."""
        ids = self.ids(name)
        return self.name(ids[0]) if ids else name
