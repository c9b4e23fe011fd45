from __future__ import annotations

import pytest

from dalsegno.report import figure_svg, page, paragraph, table


def draw() -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3))
    axes = figure.add_subplot()
    axes.plot([0, 1], [1, 3], label="auc < 1")
    axes.set_title("AUC & loss")
    axes.legend()
    return figure_svg(figure)


def test_page_escapes_titles_and_cells() -> None:
    html = page("<b>", [("a & b", table([{"x<y": "<script>"}]) + paragraph("<i>", "bad"))])
    assert "<title>&lt;b&gt;</title>" in html
    assert "<td>&lt;script&gt;</td>" in html
    assert "<h2>a &amp; b</h2>" in html
    assert "&lt;i&gt;" in html


def test_page_needs_nothing_outside() -> None:
    html = page("t", [("figure", draw())])
    for request in ("src=", "<link", "@import", "url(http", "<script"):
        assert request not in html


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (0.123456, '<td class="number">0.1235</td>'),
        (20000, '<td class="number">20,000</td>'),
        (float("nan"), '<td class="number">nan</td>'),
        (True, "<td>yes</td>"),
        (None, "<td></td>"),
    ],
    ids=["float", "int", "nan", "bool", "none"],
)
def test_table_formats_its_values(value: object, cell: str) -> None:
    assert cell in table([{"value": value}])


def test_table_has_columns_of_all_rows() -> None:
    html = table([{"a": 1}, {"b": 2}])
    assert html.count("<th>") == 2
    assert html.count("<td") == 4


def test_empty_table_says_so() -> None:
    assert "nothing to show" in table([])


def test_figure_draws_same_bytes_twice() -> None:
    first, second = draw(), draw()
    assert first == second
    assert first.startswith("<svg")
    assert "#000000" not in first
    assert 'fill="currentColor"' in first
