"""The page of the weekly review in a real browser: it opens, sorts and drills, and complains of nothing."""

import csv
import datetime as dt
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook

from st_kpi.reporting import weekly_report
from st_kpi.reporting.published import ALL, UNASSIGNED
from st_kpi.reporting.reconciled import RECONCILIATIONS
from st_kpi.reporting.weekly_report import document
from st_kpi.settings import load_settings
from tests.support.browser import Watched, chromium
from tests.support.raw_rows import TENANT, Tenant

pytestmark = pytest.mark.process

WEEK = dt.date(2025, 1, 6)
DASH = "\N{EN DASH}"
NORTH = '</script>北"<i>'
UNITS = f"""\
business_unit,rollup,role,valid_from,valid_to
East Sales,East,SALES,,
East Production,"{NORTH.replace('"', '""')}",PRODUCTION,,
West Sales,West,SALES,,
West Production,West,PRODUCTION,,
Z-DO NOT USE East,ﺷﺮﻕ,PRODUCTION,,
"""


@dataclass(frozen=True)
class Page:
    """A page, and what is in it."""

    file: Path
    review: weekly_report.Review
    shown: document.Plain

    @property
    def url(self) -> str:
        return self.file.as_uri()


@pytest.fixture(scope="module")
def page(first_build: Tenant, tmp_path_factory: pytest.TempPathFactory) -> Page:
    """Three rollups and more, a week that was restated, and one that still runs."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(first_build.folder / "first.duckdb", folder / "first.duckdb")
    tenant = Tenant(folder, str(folder / "first.duckdb"))
    tenant.rows = {table: [dict(row) for row in rows] for table, rows in first_build.rows.items()}
    tenant.map(units=UNITS)
    tenant.edit({"invoices": [{"id": 1001, "sub_total": 1100}]})
    tenant.build(dt.date(2025, 1, 14), run_id="two")
    compare(tenant, "produced", here=5000, there=5000, differing=0)
    compare(tenant, "total_booked", here=9200, there=9000, differing=1)
    compare(tenant, "estimates", here=-1, there=-1, differing=0)
    settings = load_settings(tenant_id=TENANT, timezone="America/Phoenix")
    review = weekly_report.read(tenant.warehouse, settings)
    tenant.warehouse.close()
    weekly_report.write(review, folder / weekly_report.FILE)
    return Page(folder / weekly_report.FILE, review, document.overview(review))


def compare(tenant: Tenant, kpi: str, *, here: int, there: int, differing: int) -> None:
    """As though the number of all rollups had been compared with a report."""
    counts = ("only_there", "only_here", "other_week", "other_unit", "counted_twice")
    row: dict[str, Any] = dict.fromkeys(counts, 0) | {
        "tenant_id": TENANT, "kpi": kpi, "week_start": WEEK, "rollup": ALL, "report": f"{kpi}.csv",
        "build": 2, "here": Decimal(here), "there": Decimal(there), "amount_differs": differing,
        "compared_at": dt.datetime(2025, 1, 14, 19, tzinfo=dt.UTC),
    }  # fmt: skip
    tenant.warehouse.insert(RECONCILIATIONS, [row])


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def open_page(browser: Any, page: Page) -> Iterator[Any]:
    """Opens the page; whatever a test does with it, it complains of nothing and asks for nothing."""
    watched: list[Watched] = []

    def opened(**options: Any) -> Watched:
        watched.append(Watched(browser, page.url, **options))
        return watched[-1]

    yield opened
    for each in watched:
        assert each.complaints == []
        assert [url for url in each.requests if not url.startswith(("file:", "blob:"))] == []
        each.page.close()


def number(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


@pytest.mark.parametrize("week", [WEEK, WEEK + dt.timedelta(weeks=1)], ids=["over", "running"])
def test_the_rows_of_every_number_add_up_to_it(open_page: Any, page: Page, week: dt.date) -> None:
    tab = open_page().page
    at = page.shown["weeks"].index(str(week))
    tab.select_option("#week", str(at))
    buttons = tab.locator("#table .open")
    compared = 0
    for index in range(buttons.count()):
        button = buttons.nth(index)
        kpi, rollup = button.get_attribute("data-kpi"), button.get_attribute("data-rollup")
        cell = page.shown["cells"][kpi][page.shown["rollups"].index(rollup)][at] or "00"
        button.press("Enter")
        tab.wait_for_selector("#opened[open]")
        assert tab.locator("#opened .alarm").count() == 0, (kpi, rollup)
        sums = tab.locator("#opened .scroll tfoot td.number").all_inner_texts()
        rows = tab.locator("#opened .scroll tbody tr")
        if sums:
            compared += 1
            assert [number(text) for text in sums] == [Decimal(part) for part in cell]
            amounts = rows.locator("td.number").all_inner_texts()
            assert sum(map(number, amounts)) == sum(Decimal(part) for part in cell)
        else:
            assert set(cell) == {"0"}
        tab.keyboard.press("Escape")
        assert button.evaluate("node => node === document.activeElement")
    assert compared > (20 if week == WEEK else 3)


def test_every_number_is_shown_as_the_terminal_shows_it(open_page: Any, page: Page) -> None:
    numbers = page.review.numbers.published
    tab = open_page().page
    seen = 0
    for line in tab.locator("#table tbody tr, #table tfoot tr").all():
        name = line.locator("th button").evaluate("node => node.firstChild.textContent")
        rollup = ALL if name == "All rollups" else name
        for kpi, cell in zip(numbers.kpis, line.locator("td").all(), strict=True):
            if rollup == UNASSIGNED and (kpi.name, WEEK, rollup) not in numbers.cells:
                continue
            text = cell.evaluate(
                "node => (node.querySelector('.open') ?? node.lastChild).firstChild.textContent"
            )
            value = kpi.format(numbers.value(kpi, WEEK, rollup))
            assert text.replace(DASH, "-") == value, (kpi.name, rollup)
            seen += 1
    assert seen > 50


def test_names_are_text_in_any_script(open_page: Any) -> None:
    tab = open_page().page
    assert NORTH in tab.locator("#table tbody th").all_inner_texts()[-1] + "".join(
        tab.locator("#rollup option").all_inner_texts()
    )
    tab.select_option("#rollup", NORTH)
    assert NORTH in tab.locator("#period").inner_text()
    assert tab.locator("i").count() == 0


def test_the_table_sorts(open_page: Any, page: Page) -> None:
    tab = open_page().page
    heading = tab.locator("#table th[data-sort=produced]")

    def values() -> list[Decimal]:
        cells = tab.locator("#table tbody .open[data-kpi=produced]")
        return [number(node.evaluate("n => n.firstChild.textContent")) for node in cells.all()]

    heading.locator("button").press("Enter")
    assert values() == sorted(values(), reverse=True)
    assert heading.get_attribute("aria-sort") == "descending"
    assert heading.locator("button").evaluate("node => node === document.activeElement")
    heading.locator("button").click()
    assert values() == sorted(values())
    assert heading.get_attribute("aria-sort") == "ascending"
    tab.locator("#table th[data-sort=null] button").click()
    assert heading.get_attribute("aria-sort") == "none"
    best = tab.locator("#table tbody td:has(.best) .open[data-kpi=produced]").first
    assert number(best.evaluate("n => n.firstChild.textContent")) == max(values())


def test_a_restated_number_says_why(open_page: Any) -> None:
    tab = open_page().page
    assert "reported 4,900" in tab.locator("article:has(#card-produced)").inner_text()
    tab.locator("#table .open[data-kpi=produced][data-rollup=All]").click()
    tab.wait_for_selector("#opened[open]")
    told = tab.locator("#opened-body").inner_text()
    assert "Reported: 4,900. Now: 5,000." in told
    assert re.search(r"amount edited\s+\+100\s+1", told)
    moved = tab.locator("#moved tr", has_text="amount edited").inner_text()
    assert "$ Produced +100; G.P.M +100 / +100" in moved


def test_a_comparison_with_servicetitan_is_told(open_page: Any) -> None:
    tab = open_page().page

    def card(kpi: str) -> str:
        return str(tab.locator(f"article:has(#card-{kpi})").inner_text())

    assert "✓ as in the report" in card("produced")
    assert "≠ report, 9,000" in card("total_booked")
    assert "report was compared with -1" in card("estimates")
    assert "report" not in card("collected")
    assert "3 numbers compared, 1 differs" in tab.locator("#state").inner_text()
    line = tab.locator("#reconciled tr", has_text="Total Booked").inner_text().split("\t")
    assert line[2:] == [
        "All rollups",
        "total_booked.csv",
        "2025-01-14 12:00",
        "9,000",
        "9,200",
        "1",
    ]


def test_a_week_that_runs_is_compared_with_nothing(open_page: Any, page: Page) -> None:
    tab = open_page().page
    assert tab.locator(".card.runs").count() == 0
    tab.select_option("#week", str(len(page.shown["weeks"]) - 1))
    assert "(still running)" in tab.locator("#period").inner_text()
    assert tab.locator(".card.runs").count() == len(page.shown["kpis"])
    produced = tab.locator("article:has(#card-produced)").inner_text()
    assert "Compared once the week is over." in produced
    assert "against last week" not in produced
    assert "on Tue, Jan 14" in tab.locator("article:has(#card-outstanding_ar)").inner_text()


def test_a_job_opens_in_servicetitan(open_page: Any, page: Page) -> None:
    tab = open_page().page
    tab.locator("#table .open[data-kpi=produced][data-rollup=All]").click()
    tab.wait_for_selector("#opened[open]")
    lines = tab.locator("#opened .scroll tbody tr").all()
    links = [line.locator("a").get_attribute("href") for line in lines]
    behind = [r for r in page.review.rows[WEEK] if r["kpi"] == "produced"]
    assert links == [f"https://go.servicetitan.com/#/Job/Index/{r['job_id']}" for r in behind]
    assert len(links) > 5
    numbers = [line.locator("a").inner_text() for line in lines]
    assert numbers == [r["job_number"] or str(r["job_id"]) for r in behind]
    records = [line.locator("td").last.inner_text() for line in lines]
    assert records == [f"{r['source_entity']} {r['source_id']}" for r in behind]


def test_a_definition_opens_with_its_history(open_page: Any, page: Page) -> None:
    tab = open_page().page
    tab.locator("#card-gpm").press("Enter")
    told = tab.locator("#opened").inner_text()
    assert told.startswith(f"G.P.M, version {page.review.cards['gpm'].version}")
    assert page.review.cards["gpm"].meaning in told
    assert page.review.cards["gpm"].history[0].what in told


def test_csv_and_xlsx_are_handed_out(open_page: Any, page: Page) -> None:
    tab = open_page().page
    with tab.expect_download() as handed:
        tab.locator("#csv").click()
    text = Path(handed.value.path()).read_text(encoding="utf-8-sig")
    lines = list(csv.reader(io.StringIO(text)))
    assert len(lines) == 1 + len(page.shown["rollups"])
    row = next(line for line in lines if line[1] == NORTH)
    cell = page.review.numbers.published.cells["gpm", WEEK, NORTH]
    assert Decimal(row[lines[0].index("G.P.M")]) == cell.value
    with tab.expect_download() as handed:
        tab.locator("#xlsx").click()
    shutil.copy(handed.value.path(), page.file.with_suffix(".xlsx"))
    book = load_workbook(page.file.with_suffix(".xlsx"))
    assert f"Week of {WEEK}" in book.sheetnames


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page: Any, scheme: str) -> None:
    watched = open_page(color_scheme=scheme)
    assert watched.faults() == []
    watched.page.locator("#table .open[data-kpi=gpm][data-rollup=All]").click()
    watched.page.wait_for_selector("#opened[open]")
    assert watched.faults() == []


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_it_fits_and_nothing_jumps(open_page: Any, width: int) -> None:
    tab = open_page(viewport={"width": width, "height": 900}).page
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    tab.locator("#table .open[data-kpi=produced][data-rollup=All]").click()
    tab.wait_for_selector("#opened[open]")
    assert tab.locator("#opened").evaluate("node => node.scrollWidth <= node.clientWidth")
    tab.keyboard.press("Escape")
    jumps = """() => new Promise(done => {
        new PerformanceObserver(list => done(list.getEntries().map(e => e.value)))
            .observe({type: 'layout-shift', buffered: true});
        setTimeout(() => done([]), 300);
    })"""
    assert sum(tab.evaluate(jumps)) == 0


def test_one_rollup_and_two_weeks_of_data_are_a_page_too(
    browser: Any, small: Tenant, tmp_path: Path
) -> None:
    small.build(dt.date(2025, 1, 20))
    settings = load_settings(tenant_id=TENANT, timezone="America/Phoenix")
    review = weekly_report.read(small.warehouse, settings, weeks=1, rollup="east")
    weekly_report.write(review, tmp_path / "small.html")
    watched = Watched(browser, (tmp_path / "small.html").as_uri())
    assert watched.page.locator("#table tbody tr").count() == 1
    assert watched.page.locator("#table tfoot tr").count() == 0
    assert watched.page.locator("#week option").count() == 1
    assert watched.complaints == []
    watched.page.close()


def test_on_paper_it_is_two_pages(open_page: Any) -> None:
    paper = open_page().page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 2
