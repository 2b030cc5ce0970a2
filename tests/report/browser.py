"""A browser without a window, which opens pages and tells what they did."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None or DRIVER is None, reason="no Chromium (Debian: chromium, chromium-driver)"
)
SECONDS = 60
MARKS = "svg .role-mark :is(path, line, text)"


class Browser:
    """Opens one page after another.

    Attributes
    ----------
    driver
        Of the browser; what it was told since the last page is gone with every page.
    """

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, width: int = 1400) -> None:
        """Open a page and wait until its charts are drawn."""
        self.driver.get_log("browser")
        self.driver.get_log("performance")
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        self.driver.get(page.as_uri())
        self.wait("document.documentElement.dataset.ready")

    def wait(self, condition: str) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + SECONDS
        while not self.ask(condition):
            assert time.monotonic() < end, f"{condition} never held"
            time.sleep(0.05)

    def ask(self, expression: str, *arguments: Any) -> Any:
        """Value of an expression, in which arguments are ``arguments[0]`` and so on."""
        return self.driver.execute_script(f"return {expression}", *arguments)

    def complaints(self) -> list[str]:
        """What the console was told since the page was opened."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """What the page asked for, itself left out."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked = message["params"]
                url = asked["request"]["url"]
                if asked["documentURL"].startswith("file:") and url != asked["documentURL"]:
                    found.append(url)
        return found

    def settle(self, chart: str) -> None:
        """Wait until a chart shows what was chosen."""
        self.driver.execute_async_script(
            "const done = arguments[1]; window.charts[arguments[0]].runAsync().then(() => done())",
            chart,
        )

    def chart_names(self) -> list[str]:
        """Charts of the page, from top to bottom."""
        return self.ask("[...document.querySelectorAll('figure')].map(f => f.dataset.chart)")

    def count_marks(self, chart: str) -> int:
        """What of a chart shows data: axes and legends are no marks."""
        return self.ask(f"document.querySelectorAll('#chart-{chart} {MARKS}').length")

    def rows(self, chart: str, dataset: str) -> list[dict[str, Any]]:
        """Rows that a chart draws."""
        return self.ask(f"JSON.parse(JSON.stringify(window.charts['{chart}'].data('{dataset}')))")

    def column(self, table: str, key: str) -> list[Any]:
        """Values of a column of a table, from top to bottom."""
        values = self.ask(
            f"""(() => {{
                const table = document.getElementById("table-{table}");
                const heads = [...table.tHead.rows[0].cells];
                const place = heads.findIndex((head) => head.dataset.key === "{key}");
                return [...table.tBodies[0].rows].map((row) => row.cells[place].dataset.value);
            }})()"""
        )
        return [json.loads(value) for value in values]

    def sort(self, table: str, key: str) -> None:
        """Click on the heading of a column."""
        self.ask(f"document.querySelector('#table-{table} th[data-key=\"{key}\"] button').click()")


@contextmanager
def start_browser() -> Iterator[Browser]:
    """Start a browser with a profile of its own, and end it."""
    options = Options()
    options.binary_location = CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        # With the path of its driver Selenium looks for none.
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        try:
            yield Browser(driver)
        finally:
            driver.quit()
