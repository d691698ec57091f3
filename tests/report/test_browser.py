"""The report in a real headless Chromium: figures drew, a click shows a configuration, the table sorts."""

import json
import shutil

import pytest
from made_up import WHOLE

from autopeft.report.files import write_report

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert chromium and driver, "Install Debian's chromium and chromium-driver packages to run this test."
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1200,1400",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    yield opened
    opened.quit()


@pytest.fixture(scope="module")
def report(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(WHOLE, folder)
    browser.get(f"file://{folder / 'report.html'}")
    return browser


def test_the_figures_drew(report):
    drawn = report.execute_script(
        "return [...document.querySelectorAll('.js-plotly-plot')].map(d => [d.id, d.querySelectorAll('.main-svg .trace').length])"
    )
    assert {name for name, _ in drawn} == {"budgets", "pareto", "methods", "hypervolume", "layers", "curves"}
    assert all(traces > 0 for _, traces in drawn)
    assert report.execute_script("return document.querySelectorAll('#pareto .points path').length") >= len(
        WHOLE.outcomes
    )


def test_nothing_went_wrong_in_the_console(report):
    assert [entry for entry in report.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_nothing_is_fetched(report):
    names = report.execute_script("return performance.getEntriesByType('resource').map(r => r.name)")
    assert [n for n in names if n.startswith("http")] == []


def test_a_click_on_a_point_shows_its_configuration(report):
    from selenium.webdriver.common.action_chains import ActionChains

    spot = report.execute_script("""
        const d = document.getElementById('pareto'); d.scrollIntoView({block: 'center'});
        const i = d.data.findIndex(t => t.name === 'finalists'), a = d._fullLayout, t = d.data[i];
        const box = d.querySelector('.nsewdrag').getBoundingClientRect();
        return [box.left + a.xaxis.d2p(t.x[0]) , box.top + a.yaxis.d2p(t.y[0]), t.customdata[0]];""")
    actions = ActionChains(report)
    actions.w3c_actions.pointer_action.move_to_location(int(spot[0]), int(spot[1]))
    actions.w3c_actions.pointer_action.click()
    actions.perform()
    shown = report.execute_script("return document.getElementById('picked').textContent")
    assert json.loads(shown) == json.loads(spot[2]) and json.loads(shown)["settings"]["rank"] == 4


def test_the_table_sorts(report):
    heads = report.execute_script("return [...document.querySelectorAll('table.sortable th')].map(h => h.textContent)")
    at = heads.index("trainable")
    column = (
        f"return [...document.querySelectorAll('table.sortable tbody tr')].map(r => Number(r.cells[{at}].dataset.v))"
    )
    before = report.execute_script(column)
    report.execute_script(f"document.querySelectorAll('table.sortable th')[{at}].click()")
    assert report.execute_script(column) == sorted(before, reverse=True)
