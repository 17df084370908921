"""The table of numbers that commands of `gazetune gaze` print for people."""

from __future__ import annotations

from collections.abc import Sequence


def print_number_table(header: Sequence[str], rows: Sequence[Sequence[object]], decimals: int) -> None:
    """Print a table whose first column is text and whose others are numbers; None leaves a cell empty.

    Parameters
    ----------
    header
        The name of each column.
    rows
        The cells of each row, as many as the header has.
    decimals
        Digits after the point of numbers that are no whole ones.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column, name in enumerate(header):
        table.add_column(name, justify="right" if column else "left", overflow="fold", no_wrap=column > 0)
    for first, *numbers in rows:
        table.add_row(Text(str(first)), *(_show_number(each, decimals) for each in numbers))
    Console().print(table)


def _show_number(value: object, decimals: int) -> str:
    if value is None:
        return ""
    return f"{value:.{decimals}f}" if isinstance(value, float) else str(value)
