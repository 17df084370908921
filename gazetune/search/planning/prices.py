"""A table of prices: what an hour of each kind of machine costs."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gazetune.cluster.capacity import NodeResources, count_slots
from gazetune.config import ResourcesConfig
from gazetune.config.yaml_file import read_yaml_lines
from gazetune.errors import InputError, did_you_mean

_COLUMNS = ("instance", "cpus", "gpus", "price")
_LEAST = {"cpus": "a number > 0", "gpus": "a number >= 0", "price": "a number >= 0"}


@dataclass(frozen=True, slots=True)
class Instance:
    """A kind of machine that can be rented."""

    name: str
    cpus: float
    gpus: float
    price: float
    """Of an hour, in the table's own currency."""

    def cost(self, slot_hours: float, resources: ResourcesConfig) -> float | None:
        """Return what so many hours of one slot cost on machines of this kind; None where a worker does not fit.

        A machine that holds several slots costs each its share; a slot that needs several machines pays for them all.
        """
        here = NodeResources(self.name, self.cpus, self.gpus)
        workers = count_slots([here], resources.model_copy(update={"workers": 1}))
        if workers == 0:
            return None
        slots = count_slots([here], resources)
        machines = 1 / slots if slots else math.ceil(resources.workers / workers)
        return slot_hours * machines * self.price


def read_prices(path: Path) -> tuple[Instance, ...]:
    """Read a table: YAML (`NAME: {cpus: 4, gpus: 1, price: 1.2}`), or CSV with the columns instance,cpus,gpus,price.

    Raises
    ------
    InputError
        One line that names file, line and key, for whatever is wrong with the table.
    """
    if path.suffix not in (".yaml", ".yml", ".csv"):
        raise InputError(f"--prices {path}: accepted: a .yaml, .yml or .csv file")
    rows = _yaml_rows(path) if path.suffix != ".csv" else _csv_rows(path)
    if not rows:
        raise InputError(f"{path}: there is no price in it")
    return tuple(_instance(name, row, places, str(path)) for name, (row, places) in rows.items())


_Rows = dict[str, tuple[Mapping[str, Any], Mapping[str, int]]]
"""By instance, its values and the line that each stands on (`instance`: of the row itself)."""


def _yaml_rows(path: Path) -> _Rows:
    tree, lines = read_yaml_lines(path)
    rows: _Rows = {}
    for name, row in tree.items():
        if not isinstance(row, Mapping):
            raise InputError(f"{path}:{lines[name]}: {name}: {row!r} is not accepted; accepted: cpus, gpus, price")
        within = {key: lines.get(f"{name}.{key}", lines[name]) for key in row}
        rows[name] = (row, {"instance": lines[name], **within})
    return rows


def _csv_rows(path: Path) -> _Rows:
    rows: _Rows = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            for name in reader.fieldnames or ():
                if name not in _COLUMNS:
                    raise InputError(f"{path}:1: unknown column '{name}'; {did_you_mean(str(name), _COLUMNS)}")
            for row in reader:
                line = reader.line_num
                if None in row:
                    raise InputError(f"{path}:{line}: more values than columns")
                name = row.pop("instance", None) or ""
                if name in rows:
                    raise InputError(f"{path}:{line}: instance: '{name}' stands twice")
                rows[name] = ({key: value for key, value in row.items() if value}, dict.fromkeys(_COLUMNS, line))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not CSV: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return rows


def _instance(name: str, row: Mapping[str, Any], places: Mapping[str, int], path: str) -> Instance:
    where = f"{path}:{places['instance']}"
    if not name:
        raise InputError(f"{where}: instance: has no name")
    for key in row:
        if key not in _LEAST:
            raise InputError(f"{path}:{places[key]}: {name}: unknown key '{key}'; {did_you_mean(key, _LEAST)}")
    for key in ("cpus", "price"):
        if key not in row:
            raise InputError(f"{where}: {name}: {key} is missing; accepted: {_LEAST[key]}")
    values = {key: _number(value, key, f"{path}:{places[key]}: {name}") for key, value in row.items()}
    return Instance(name, values["cpus"], values.get("gpus", 0.0), values["price"])


def _number(value: Any, key: str, where: str) -> float:
    try:
        number = float(value) if not isinstance(value, bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number) or number < 0 or (key == "cpus" and number == 0):
        raise InputError(f"{where}: {key}: {value!r} is not accepted; accepted: {_LEAST[key]}")
    return number
