"""What the numbers lack without an entity."""

from st_kpi.kpis.inputs import cost_of_absence
from st_kpi.servicetitan.registry import REGISTRY


def test_an_entity_costs_the_kpis_that_are_made_of_it() -> None:
    assert (
        cost_of_absence("returns", "bill_else_po")
        == "Without it these are incomplete: gpm, warranty_pct."
    )
    assert cost_of_absence("campaigns", "bill_else_po") == "No KPI is made of it."
    assert cost_of_absence("job_types", "bill_else_po") == "Without it no KPI can be built."


def test_purchases_cost_only_where_the_costs_come_from_them() -> None:
    assert "gpm" in cost_of_absence("receipts", "receipts")
    assert cost_of_absence("receipts", "bill_else_po") == "No KPI is made of it."


def test_every_entity_has_a_sentence() -> None:
    assert all(cost_of_absence(name, "purchase_orders").endswith(".") for name in REGISTRY)
