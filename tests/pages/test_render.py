"""What is put into a page stays what it is."""

import pytest

from stages.pages.render import _markdown_cell


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("lenet_large", "lenet_large"),
        ("_x_", r"\_x\_"),
        ("a|b\n*c*", r"a\|b \*c\*"),
        ("`~&<", r"\`\~\&\<"),
        ("C:\\x", r"C:\\x"),
    ],
)
def test_a_name_in_a_markdown_table_is_that_name(text: str, written: str) -> None:
    assert _markdown_cell(text) == written
