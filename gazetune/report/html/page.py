"""The page of a report: its parts in their order, each with its picture and its table side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gazetune.pictures.html_page import escape_html, html_page
from gazetune.report.html.figure import colour_variables, render_svg
from gazetune.report.html.section import Section, Table

_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?( \([-+\d., to]+\))?|[-+]?[\d.]+ to [-+]?[\d.]+|-|")
_LONG_CELL = 24
"""Letters of a cell whose column is not to become a narrow one."""
_MOST_COLUMNS_BESIDE = 6
_STYLE = """
h1 { margin: 0 0 1rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 0 0 .4rem; }
section { margin: 2.2rem 0; } section p { margin: .3rem 0 .7rem; max-width: 60rem; overflow-wrap: anywhere; }
.verdict { border-left: .3rem solid var(--orange); padding: .1rem 0 .1rem 1rem; margin: 1rem 0; }
.verdict p { margin: .4rem 0; overflow-wrap: anywhere; } .verdict p:first-child { font-size: 1.15rem; }
nav { font-size: .9rem; } nav a { margin-right: .9rem; white-space: nowrap; display: inline-block; }
a { color: var(--blue); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(30rem, 100%), 1fr)); gap: 1.5rem; }
figure { margin: 0; } figure svg { max-width: 40rem; display: block; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
.table { overflow: auto; max-height: 28rem; min-width: 0; }
.table table { width: 100%; } .table th { position: sticky; top: 0; background: var(--page); vertical-align: bottom; }
.table th, .table td, .table td:first-child { overflow-wrap: break-word; vertical-align: top; }
.table th, .table td { text-align: left; padding: .15rem .5rem; }
.table .number { text-align: right; }
.table td.number { white-space: nowrap; } .table td { min-width: 3.5rem; }
.table td:first-child:not(.number) { min-width: 5rem; } .table td.words { min-width: 10rem; }
pre { overflow: auto; max-height: 28rem; font-size: .85rem; border: 1px solid var(--line); padding: .6rem; }
@media print { nav { display: none; } .pair { display: block; } .table { margin-top: 1rem; }
  .table, pre { max-height: none; overflow: visible; }
  section { break-inside: avoid-page; } pre { white-space: pre-wrap; } body { max-width: none; } }
"""


def render_page(title: str, verdict: Sequence[str], sections: Sequence[Section]) -> str:
    """Return the whole page; it needs no other file, no script and no network.

    Parameters
    ----------
    title
        Its heading.
    verdict
        Paragraphs that stand first.
    sections
        The parts, in their order.
    """
    links = "".join(f'<a href="#{each.key}">{escape_html(each.title)}</a> ' for each in sections)
    told = "\n".join(f"<p>{escape_html(paragraph)}</p>" for paragraph in verdict)
    body = [
        f"<h1>{escape_html(title)}</h1>",
        f'<div class="verdict">\n{told}\n</div>',
        f"<nav>{links}</nav>",
        *(_render_section(each) for each in sections),
    ]
    colours = (
        f":root {{ {colour_variables(dark=False)} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {colour_variables(dark=True)} }} }}\n"
    )
    return html_page(title, "\n".join(body), style=colours + _STYLE)


def _render_section(section: Section) -> str:
    parts = [f'<section id="{section.key}">\n<h2>{escape_html(section.title)}</h2>']
    parts += [f"<p>{escape_html(paragraph)}</p>" for paragraph in section.text]
    beside = []
    if section.draw is not None:
        beside.append(f"<figure>{render_svg(section.draw, section.key, section.label)}</figure>")
    if section.table is not None and section.table.rows:
        beside.append(f'<div class="table" tabindex="0">{_render_table(section.table)}</div>')
    # A table of many columns goes below its picture, where it has the whole width.
    if len(beside) > 1 and section.table is not None and len(section.table.head) <= _MOST_COLUMNS_BESIDE:
        parts.append('<div class="pair">\n' + "\n".join(beside) + "\n</div>")
    else:
        parts += beside
    if section.code:
        parts.append(f'<pre tabindex="0">{escape_html(section.code)}</pre>')
    return "\n".join([*parts, "</section>"])


def _render_table(table: Table) -> str:
    """Return a table whose numbers stand on the right."""
    columns = list(zip(*table.rows, strict=True))
    marks = [
        ' class="number"'
        if all(_NUMBER.fullmatch(cell) for cell in column)
        else ' class="words"'
        if max(map(len, column)) > _LONG_CELL
        else ""
        for column in columns
    ]
    head = "".join(
        f'<th scope="col"{mark}>{escape_html(name)}</th>' for mark, name in zip(marks, table.head, strict=True)
    )
    rows = "\n".join(
        f"<tr>{''.join(f'<td{mark}>{_render_cell(cell)}</td>' for mark, cell in zip(marks, row, strict=True))}</tr>"
        for row in table.rows
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"


def _render_cell(cell: str) -> str:
    """Return a cell that may be broken behind the signs that join its parts."""
    return re.sub(r"(?<=[+/])(?=[^<])", "<wbr>", escape_html(cell)) if len(cell) > _LONG_CELL else escape_html(cell)
