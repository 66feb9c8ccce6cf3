"""How BigQuery is reached, which is known before Google's client is loaded."""

import subprocess
import sys

from st_kpi.warehouse.bigquery.options import project_and_location


def test_an_address_names_a_project_and_where_its_datasets_lie() -> None:
    assert project_and_location("bigquery://some-project") == ("some-project", "US")
    assert project_and_location("bigquery://example.com:some-project?location=EU") == (
        "example.com:some-project",
        "EU",
    )


def test_nobody_waits_for_google_s_client_who_does_not_use_it() -> None:
    program = "import sys, st_kpi.warehouse; print('google.cloud.bigquery' in sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert process.stdout == "False\n"
