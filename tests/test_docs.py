"""Do the pages show what their commands print, and lead their links somewhere?

Each page is run as it stands, in an empty folder: its files are written, its commands run.
"""

import re
from pathlib import Path

import pytest

from tools.pages import count_commands, run_page
from tools.refresh_docs import DOCS, PICTURE, README, REFERENCE, ROOT, chart_labels, pages, refresh

ALL = (README, *sorted(DOCS.glob("*.md")))
TEXTS = (*ALL, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md")


def by_name(page: Path) -> str:
    return page.name


@pytest.mark.slow
@pytest.mark.parametrize("page", pages(), ids=by_name)
def test_a_page_shows_what_its_commands_print_and_draw(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    assert refresh(page, tmp_path) == text
    for picture in re.findall(r"\]\(([\w-]+\.svg)\)", text):
        if (tmp_path / picture).exists():
            drawn, kept = ((folder / picture).read_text() for folder in (tmp_path, DOCS))
            assert len(chart_labels(kept)) > 20
            assert chart_labels(drawn) == chart_labels(kept)


def test_all_pages_with_commands_are_run() -> None:
    names = {page.name for page in pages()}
    assert names >= {
        "README.md", "first-run.md", "networks.md", "machines.md", "numbers.md", "report.md",
        "sweeping.md", "bit-widths.md", "calibration.md", "python-api.md",
    }  # fmt: skip
    assert sum(count_commands(page.read_text()) for page in pages()) > 30
    assert PICTURE.stat().st_size > 1000


@pytest.mark.parametrize("page", REFERENCE, ids=by_name)
def test_a_page_of_the_reference_is_what_would_be_written(page: Path) -> None:
    assert page.read_text() == REFERENCE[page]()


@pytest.mark.parametrize("page", TEXTS, ids=by_name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    local = [link for link in links if "://" not in link]
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    anchors = {
        "#" + re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings
    }
    files = [link for link in local if not link.startswith("#")]
    assert [link for link in files if not (page.parent / link).exists()] == []
    assert [link for link in local if link.startswith("#") and link not in anchors] == []


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text()
    assert [
        page.name for page in ALL[1:] if page.name not in index and page.name != "README.md"
    ] == []
    assert "docs/README.md" in README.read_text()


PAGE = """
`greet.py`:

```python
print("one", "two", "three", sep="\\n")
```

```
$ python greet.py
old
$ echo a \\
  b && echo wrong >&2
```
"""


def test_files_are_written_and_commands_run_in_their_order(tmp_path: Path) -> None:
    expected = PAGE.replace("old", "one\ntwo\nthree").replace(">&2\n", ">&2\na b\nwrong\n")
    assert run_page(PAGE, tmp_path) == expected
    assert run_page(expected, tmp_path) == expected


def test_lines_that_a_page_leaves_out_stay_out(tmp_path: Path) -> None:
    page = "```\n$ printf '1\\n2\\n3\\n4\\n'\n1\n...\n4\n```"
    assert run_page(page, tmp_path) == page
    assert run_page(page.replace("\n4\n", "\n9\n"), tmp_path) == page
    whole = page.replace("...", "2\n3")
    assert run_page(whole, tmp_path) == whole


def test_a_command_that_crashes_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="status 1"):
        run_page("```\n$ python -c 'raise KeyError'\n```", tmp_path)
