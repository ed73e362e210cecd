"""The pages for readers hold what they promise: the tree is current, links lead somewhere."""

import re
from pathlib import Path

import pytest

from docs.tree import PAGE, page_with, tree

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "studies/README.md"],
    key=lambda page: page.as_posix(),
)


def test_the_tree_is_the_present_one() -> None:
    assert PAGE.read_text("utf-8") == page_with(tree()), "write it anew: python docs/tree.py"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 220


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_headings(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text("utf-8"))
    assert [name for file, name in links if name not in _anchors(page, file)] == []


def _anchors(page: Path, file: str) -> set[str]:
    """As GitHub names headings: in lower case, hyphens for spaces, without other marks."""
    target = page.parent / file if file else page
    headings = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_list_of_studies_counts_their_runs() -> None:
    """So many as the page of each says, so that the list is brought along; others' own aside."""
    listed = re.findall(
        r"\]\((\w+)/report\.md\) \|.*?([\d,]+ of [\d,]+) runs",
        (ROOT / "studies/README.md").read_text(),
    )
    shown = {
        page.parent.name: found[1]
        for page in (ROOT / "studies").glob("*/report.md")
        if (found := re.search(r"^- runs: \*\*(.*?)\*\*", page.read_text("utf-8"), re.MULTILINE))
    }
    assert len(listed) == 6
    assert listed == [(name, shown.get(name)) for name, _ in listed]
