"""The look of every HTML report: one self-contained page, dark or light, no request outside."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #ffffff;
  --line: #dfe3e8; --bad: #b3261e; --good: #1b7a3d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b4; --paper: #14181f;
  --line: #2d3541; --bad: #ff8a80; --good: #7ddb9b; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.soft { color: var(--soft); } .bad { color: var(--bad); font-weight: 600; }
.good { color: var(--good); font-weight: 600; }
svg { max-width: 100%; height: auto; color: var(--ink); }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<h1>{{ title }}</h1>
{% for heading, html in sections %}
<section>
<h2>{{ heading }}</h2>
{{ html | safe }}
</section>
{% endfor %}
</body>
</html>
"""

TABLE = """<table>
<thead><tr>{% for name in names %}<th>{{ name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}
<tr>{% for cell in row %}<td{% if cell.number %} class="number"{% endif %}>{{ cell.text }}</td>
{%- endfor %}</tr>
{% endfor %}
</tbody>
</table>"""


def page(title: str, sections: Iterable[tuple[str, str]]) -> str:
    """Lay out one HTML page that needs nothing outside of itself.

    Args:
        title: Plain text.
        sections: Heading (plain text) and HTML, which comes from `table`, `paragraph` or
            `figure_svg` and is not escaped again.
    """
    return _template(PAGE).render(title=title, style=STYLE, sections=list(sections))


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Set rows as an HTML table, escaped; the columns are those of all rows, in order of coming."""
    if not rows:
        return paragraph("nothing to show", "soft")
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    return _template(TABLE).render(names=names, rows=cells)


def paragraph(text: str, tone: str = "") -> str:
    """Set plain text as a paragraph, escaped.

    Args:
        text: Plain text.
        tone: "", "soft", "good" or "bad": the colour.
    """
    return _template('<p class="{{ tone }}">{{ text }}</p>').render(text=text, tone=tone)


def figure_svg(figure: Figure) -> str:
    """Draw a matplotlib figure as inline SVG: same figure, same bytes; black follows the theme."""
    import matplotlib as mpl

    drawn = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "dalsegno", "svg.fonttype": "none"}):
        figure.savefig(
            drawn,
            format="svg",
            transparent=True,
            bbox_inches="tight",
            metadata={"Date": None, "Creator": None},
        )
    svg = drawn.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"(?<=<text )(?![^>]*fill:)", 'fill="currentColor" ', svg)
    return re.sub(r"#000000\b", "currentColor", svg)


@cache
def _template(source: str) -> Template:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)


def _cell(value: Any) -> dict[str, object]:
    if isinstance(value, bool):
        return {"text": "yes" if value else "no", "number": False}
    if isinstance(value, float):
        return {"text": f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}", "number": True}  # noqa: PLR2004
    if isinstance(value, int):
        return {"text": f"{value:,}", "number": True}
    return {"text": "" if value is None else str(value), "number": False}
