"""Do the commands of README.md print what stands there?"""

from pathlib import Path

import pytest

from tools.refresh_docs import BLOCK, README, ROOT, refresh


def test_readme_shows_the_output_of_at_least_one_command_and_a_picture() -> None:
    text = README.read_text()
    assert BLOCK.search(text)
    assert (ROOT / "docs" / "simulate.svg").stat().st_size > 1000


@pytest.mark.slow
def test_readme_shows_what_its_commands_print() -> None:
    text = README.read_text()
    assert refresh(text) == text


def test_links_in_readme_lead_somewhere() -> None:
    import re

    links = re.findall(r"\]\(([^)]+)\)", README.read_text())
    local = [link for link in links if "://" not in link]
    assert local
    assert [link for link in local if not (Path(ROOT) / link).exists()] == []
