"""What all tests share: where outside data is, and a last line that says what was skipped."""

import os
from collections import Counter
from pathlib import Path

import pytest

ENVIRONMENT_VARIABLE = "ACCEL_SIM_REFERENCE_DATA"
REFERENCE_FOLDERS = ("networks", "images", "references")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--reference-data",
        metavar="DIR",
        default=os.environ.get(ENVIRONMENT_VARIABLE),
        help="folder of real networks, images and bit-exact references that the project does "
        f"not ship; also ${ENVIRONMENT_VARIABLE}. Tests that need it are skipped without it.",
    )


def pytest_configure(config: pytest.Config) -> None:
    given = config.getoption("--reference-data")
    if given is None:
        return
    missing = [name for name in REFERENCE_FOLDERS if not Path(given, name).is_dir()]
    if missing:
        raise pytest.UsageError(
            f"--reference-data {given}: no folder {missing[0]!r} here; "
            f"a folder holding {', '.join(REFERENCE_FOLDERS)} is needed"
        )


@pytest.fixture(scope="session")
def reference_data(pytestconfig: pytest.Config) -> Path:
    """Folder holding networks/, images/ and references/."""
    given = pytestconfig.getoption("--reference-data")
    if given is None:
        pytest.skip(f"no reference data (--reference-data=DIR or ${ENVIRONMENT_VARIABLE})")
    return Path(given).resolve()


def closing_line(stats: dict[str, list[pytest.TestReport]]) -> str:
    """Count the outcomes, and the skips by their reason, in one line."""
    counts = [
        f"{len(stats[outcome])} {outcome}"
        for outcome in ("failed", "error", "passed", "skipped")
        if outcome in stats
    ]
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in stats.get("skipped", ())
    )
    groups = "; ".join(f"{count} because {reason}" for reason, count in reasons.most_common())
    return ", ".join(counts) + (f": {groups}" if groups else "")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what tests had to say without failing: ``record_property("note", sentence)``."""
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            if name == "note":
                terminalreporter.write_line(value)


def pytest_unconfigure(config: pytest.Config) -> None:
    # Later than pytest's own closing line, which does not tell the reasons.
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and (line := closing_line(reporter.stats)):
        reporter.write_line(line)
