"""The frame of an HTML picture: one file that needs nothing else, readable on light and dark screens and on paper.

HTML and SVG are written by hand and not by matplotlib's SVG backend. Its colours are fixed, so that a page could not
follow a dark screen. Its text becomes outlines, or keeps the widths of another font than the browser's. Its points have
no titles, which here name the words that one points at. Colours, inks and ticks are those of the PNG.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from gazetune.eyetracking.text_lines import replace_unprintable
from gazetune.pictures.colours import DARK, LIGHT, choose_ink

# Nothing may be loaded: not even a browser that guesses at an address finds a way out of the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --text: #1a1a1a; --soft: #595959; --line: #c4c9d1; --mark: #b34700; }
body { margin: 2rem auto; padding: 0 1rem; max-width: 76rem; background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.25rem; margin: 0; } h2 { font-size: 1rem; margin: 0 0 .4rem; }
.soft { color: var(--soft); margin: .2rem 0 1rem; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 2rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.9; unicode-bidi: plaintext; }
.text span { border-radius: .2em; padding: .12em .16em; margin: 0 -.08em;
  -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.prompt { max-height: 14rem; overflow: auto; }
.legend { position: sticky; top: 0; padding: .6rem 0 .2rem; margin-bottom: .8rem; background: var(--page); }
.legend p { margin: 0; }
.bar { display: flex; width: min(20rem, 100%); height: .8rem; } .bar span { flex: 1; }
.ticks { display: flex; justify-content: space-between; width: min(20rem, 100%); font-size: .85rem; }
details { margin: 1.5rem 0; } summary { cursor: pointer; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .7rem; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } .panels svg { max-width: 32rem; }
svg text { fill: var(--text); font-family: system-ui, sans-serif; }
@media print { .text span, .bar span { print-color-adjust: exact; } details { display: none; }
  .legend { position: static; } }
"""
_DARK_PAGE = ":root { --page: #12171e; --text: #e8e8e8; --soft: #a8b0bb; --line: #414b58; --mark: #ffa75e; }"


def escape_html(text: str) -> str:
    """Return text as it stands in HTML, in quoted attributes too.

    Examples
    --------
    >>> escape_html('<b> "a" & b')
    '&lt;b&gt; &quot;a&quot; &amp; b'
    """
    return html.escape(replace_unprintable(text), quote=True)


def html_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table; all cells are escaped here."""
    head = "".join(f'<th scope="col">{escape_html(name)}</th>' for name in header)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape_html(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def html_page(title: str, body: str, style: str = "") -> str:
    """Return the whole document around a body of HTML. `v0` to `v100` are the classes of the colour scale.

    `style` is CSS beside that of all pages.
    """
    light, dark = style_scale(LIGHT), f"{_DARK_PAGE}\n{style_scale(DARK)}"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape_html(title)}</title>\n'
        f"<style>{_STYLE}{light}\n@media screen and (prefers-color-scheme: dark) {{\n{dark}\n}}\n{style}</style>\n"
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def style_scale(scale: Sequence[str], prefix: str = "v") -> str:
    """Return the class of each step: its colour as background and as drawing, and an ink that reads well on it."""
    return "\n".join(
        f".{prefix}{step} {{ background: {colour}; color: {choose_ink(colour)}; fill: {colour}; stroke: {colour}; }}"
        for step, colour in enumerate(scale)
    )
