"""Does a browser show names that would end a script as text, and run nothing of them?"""

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from accel_sim.report.page.page import page_bytes
from tests.report.browser import needs_chromium
from tests.report.pages import HOSTILE, HOSTILE_PAGES

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def hostile_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for name, make_page in HOSTILE_PAGES.items():
        (folder / f"{name}.html").write_bytes(page_bytes(make_page()))
    return folder


@pytest.mark.parametrize("page", list(HOSTILE_PAGES))
def test_a_name_that_is_a_script_is_text(browser, hostile_folder, page):
    browser.open(hostile_folder / f"{page}.html")
    assert browser.complaints() == []
    assert browser.requests() == []
    assert browser.ask("document.scripts.length") == 4
    assert HOSTILE in browser.ask("document.title + document.querySelector('h1').textContent")
    assert HOSTILE in browser.ask(
        "[...document.querySelectorAll('td, dd')].map((cell) => cell.textContent)"
    )
    assert [name for name in browser.chart_names() if not browser.count_marks(name)] == []


def test_a_name_that_is_a_script_is_text_in_axes_options_and_tooltips(browser, hostile_folder):
    browser.open(hostile_folder / "run.html")
    shown = browser.ask(
        "[...document.querySelectorAll('#chart-cycles_by_cause svg text')].map(t => t.textContent)"
    )
    assert "…" + HOSTILE[-21:] in shown
    select = Select(browser.driver.find_element(By.CSS_SELECTOR, "#chart-feature_map select"))
    assert [option.text for option in select.options] == ["network input (t)", HOSTILE]
    bar = browser.driver.find_element(
        By.CSS_SELECTOR, "#chart-cycles_by_cause .mark-rect.role-mark path"
    )
    browser.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", bar)
    ActionChains(browser.driver).move_to_element(bar).perform()
    browser.wait("document.getElementById('vg-tooltip-element')?.textContent.includes('cycles')")
    tooltip = browser.ask("document.getElementById('vg-tooltip-element').textContent")
    assert HOSTILE in tooltip
    assert browser.ask("document.scripts.length") == 4
    assert browser.complaints() == []
