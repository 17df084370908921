"""Published data sets, downloaded (or taken from the cache) through `datasets`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gazetune.errors import InputError
from gazetune.preferences.sources.rows import Row


def hub_rows(name: str, accepted: Iterable[str]) -> dict[str, Iterator[Row]]:
    """Return the rows of each published split of the data set `name` (a hub id, or a folder with the same layout).

    Raises
    ------
    InputError
        When the hub cannot be reached or has no such data set; `accepted` is what the line then offers.
    """
    # Imported here: it takes a second, and only hub ids need it.
    import datasets

    try:
        splits = datasets.load_dataset(name)
    # `datasets` lets through errors of the hub client, the HTTP library and the file readers, with no common base.
    except Exception as error:
        reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise InputError(
            f"data.source: '{name}' cannot be loaded from the hub ({reason}); accepted: {', '.join(accepted)}"
        ) from error
    return {str(split): _rows(f"{name}/{split}", splits[split]) for split in splits}


def _rows(origin: str, table: Iterable[Mapping[str, Any]]) -> Iterator[Row]:
    for number, values in enumerate(table, start=1):
        yield Row(f"{origin}:{number}", values)
