"""The SQL by which either engine reads a table of differences; see ``Warehouse.apply_differences``."""

from collections.abc import Collection


def same_row(columns: Collection[str]) -> str:
    """That the row ``stored`` of a table is the row ``changed`` of its differences."""
    return " AND ".join(
        f"changed.`{name}` IS NOT DISTINCT FROM stored.`{name}`" for name in columns
    )


def rows_to_add(columns: Collection[str], differences: str) -> str:
    """The SELECT of the rows that there have to be, each as often, once those that differ are gone."""
    listed = ", ".join(f"`{name}`" for name in columns)
    return (
        f"SELECT {listed} FROM {differences}"
        " CROSS JOIN UNNEST(GENERATE_ARRAY(1, after)) AS nth WHERE after > 0"
    )
