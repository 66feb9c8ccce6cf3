"""What is shown of a run and where it leads."""

import pytest

from tasks.artifacts import console_link


@pytest.mark.parametrize(
    ("warehouse", "link"),
    [
        (
            "bigquery://my-project?location=EU",
            "https://console.cloud.google.com/bigquery"
            "?project=my-project&p=my-project&d=st_kpi&t=kpi_weekly_wide&page=table",
        ),
        ("duckdb:///st_kpi.duckdb", None),
    ],
)
def test_the_weekly_table_is_a_click_away_where_it_has_a_page(
    warehouse: str, link: str | None
) -> None:
    assert console_link(warehouse) == link
