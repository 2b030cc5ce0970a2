"""Do the commands of README.md and of the pages in docs/ print what stands there?"""

import re
from pathlib import Path

import pytest

from tools.refresh_docs import BIT_WIDTHS, BLOCK, README, ROOT, chart_labels, refresh


def test_readme_shows_the_output_of_at_least_one_command_and_a_picture() -> None:
    text = README.read_text()
    assert BLOCK.search(text)
    assert (ROOT / "docs" / "simulate.svg").stat().st_size > 1000


@pytest.mark.slow
def test_readme_shows_what_its_commands_print() -> None:
    text = README.read_text()
    assert refresh(text) == text


@pytest.mark.slow
def test_the_page_about_bit_widths_shows_what_its_command_prints_and_draws(tmp_path: Path) -> None:
    text, chart = BIT_WIDTHS.read_text(), "bit-widths.svg"
    assert BLOCK.search(text)
    assert refresh(text, tmp_path) == text
    drawn, kept = ((folder / chart).read_text() for folder in (tmp_path, BIT_WIDTHS.parent))
    assert len(chart_labels(kept)) > 20
    assert chart_labels(drawn) == chart_labels(kept)


@pytest.mark.parametrize("page", [README, BIT_WIDTHS])
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (page.parent / link).exists()] == []
