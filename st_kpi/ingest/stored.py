"""What the raw tables hold of an entity, in rows."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from st_kpi.ingest.manifest import Scalar, of_tenant
from st_kpi.servicetitan.registry import Entity
from st_kpi.warehouse.base import Warehouse
from st_kpi.windows import Window

#: A feed shows a change up to so long after it was made.
FEED_DELAY = timedelta(minutes=15)


@dataclass(frozen=True)
class StoredRows:
    """The raw rows of a tenant; of all of them where none is named."""

    warehouse: Warehouse
    tenant_id: int | None

    def count(self, entity: Entity) -> int:
        """All the rows there are."""
        return self._count(entity, of_tenant(self.tenant_id))

    def listed(self, entity: Entity, window: Window | None) -> int:
        """The rows of those that a list of the ``createdOn`` window shows, or a list of everything."""
        where = "tenant_id = @tenant_id"
        if entity.all_rows is None:  # the list has no inactive rows, the feed brought them
            where += " AND COALESCE(active, TRUE)"
        else:  # what the source no longer has at all
            where += " AND COALESCE(_content_hash, '') <> 'vanished'"
        if window is None:
            return self._count(entity, where)
        where += " AND created_on >= @start AND created_on < @end"
        return self._count(entity, where, start=window.start, end=window.end)

    def missed(self, entity: Entity, run_id: str, since: datetime, known_until: datetime) -> Scalar:
        """The number of rows that a reading since ``since`` brought, which earlier ones should have.

        Those are older than ``known_until``. It is of a use once the reading is merged.
        """
        return Scalar(
            f"(SELECT COUNT(*) FROM st_raw.{entity.name} WHERE tenant_id = @tenant_id AND _run_id = @run_id"
            " AND _loaded_at >= @since AND COALESCE(modified_on, created_on, @old) < @old)",
            {
                "tenant_id": self.tenant_id,
                "run_id": run_id,
                "since": since,
                "old": known_until - FEED_DELAY,
            },
        )

    def newest(self, entity: Entity, column: str) -> datetime | None:
        """The latest time in a column; None where there is none."""
        (row,) = self.warehouse.query(
            f"SELECT MAX({column}) AS newest FROM st_raw.{entity.name} WHERE tenant_id = @tenant_id",
            {"tenant_id": self.tenant_id},
        )
        newest: datetime | None = row["newest"]
        return newest

    def _count(self, entity: Entity, where: str, **params: object) -> int:
        (row,) = self.warehouse.query(
            f"SELECT COUNT(*) AS n FROM st_raw.{entity.name} WHERE {where}",
            {"tenant_id": self.tenant_id} | params,
        )
        return int(row["n"])
