"""Reading the tables of a page of docs."""

from __future__ import annotations

from pathlib import Path


def table_rows(page: Path, heading: str) -> dict[str, list[str]]:
    """Return the rows of the table whose first column has this heading: the name in it, and the other cells."""
    lines = iter(page.read_text().splitlines())
    next(line for line in lines if line.startswith(f"| {heading} |"))
    next(lines)  # the line of dashes
    rows = {}
    for line in lines:
        if not line.startswith("|"):
            break
        name, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
        rows[name.strip("` ")] = cells
    return rows
