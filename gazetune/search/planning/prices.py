"""A table of prices: what an hour of each kind of machine costs.

The table is YAML or CSV. Either way it becomes rows (`_Row`): the values of one entry as they were written, and the
line that each stands on. pydantic checks the values of a row; its first complaint becomes the error line.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass as checked_dataclass

from gazetune.cluster.capacity import NodeResources, count_slots
from gazetune.config import ResourcesConfig
from gazetune.config.yaml_file import read_yaml_lines
from gazetune.errors import InputError, did_you_mean

_COLUMNS = ("instance", "cpus", "gpus", "price")


def _refuse_flag(value: object) -> object:
    if isinstance(value, bool):  # pydantic would take it for 0 or 1
        raise ValueError("a flag is no number")
    return value


_AboveZero = Annotated[float, BeforeValidator(_refuse_flag), Field(gt=0, allow_inf_nan=False)]
_AtLeastZero = Annotated[float, BeforeValidator(_refuse_flag), Field(ge=0, allow_inf_nan=False)]
_ACCEPTED = {"cpus": "a number > 0", "gpus": "a number >= 0", "price": "a number >= 0"}


@checked_dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Instance:
    """A kind of machine that can be rented.

    Examples
    --------
    A machine of 8 CPUs and 4 GPUs holds four slots of one GPU each, so that a slot pays a quarter of it:

    >>> machine = Instance("large", cpus=8, gpus=4, price=12.0)
    >>> machine.cost_of_slot(hours=10, resources=ResourcesConfig(gpus_per_worker=1))
    30.0
    """

    name: str
    cpus: _AboveZero
    gpus: _AtLeastZero
    price: _AtLeastZero
    """Of an hour, in the table's own currency."""

    def cost_of_slot(self, hours: float, resources: ResourcesConfig) -> float | None:
        """Return what so many hours of one slot cost on machines of this kind; None where a worker does not fit.

        A machine that holds several slots costs each its share; a slot that needs several machines pays for them all.
        """
        machine = NodeResources(self.name, self.cpus, self.gpus)
        workers = count_slots([machine], resources.model_copy(update={"workers": 1, "accelerator": None}))
        if workers == 0:
            return None
        slots = count_slots([machine], resources.model_copy(update={"accelerator": None}))
        machines = 1 / slots if slots else math.ceil(resources.workers / workers)
        return hours * machines * self.price


_INSTANCE = TypeAdapter(Instance)


def read_prices(path: Path) -> tuple[Instance, ...]:
    """Read a table: YAML (`NAME: {cpus: 4, gpus: 1, price: 1.2}`), or CSV with the columns instance,cpus,gpus,price.

    Raises
    ------
    InputError
        One line that names file, line and key, for whatever is wrong with the table.
    """
    if path.suffix not in (".yaml", ".yml", ".csv"):
        raise InputError(f"--prices {path}: accepted: a .yaml, .yml or .csv file")
    rows = _read_yaml_rows(path) if path.suffix != ".csv" else _read_csv_rows(path)
    if not rows:
        raise InputError(f"{path}: there is no price in it")
    return tuple(_check_row(row, path) for row in rows)


@dataclass(frozen=True)
class _Row:
    """One entry of a table as it was written."""

    name: str
    line: int
    values: Mapping[str, object]
    lines: Mapping[str, int]
    """The line that each value stands on."""


def _read_yaml_rows(path: Path) -> list[_Row]:
    tree, lines = read_yaml_lines(path)
    rows = []
    for name, values in tree.items():
        if not isinstance(values, Mapping):
            raise InputError(f"{path}:{lines[name]}: {name}: {values!r} is not accepted; accepted: cpus, gpus, price")
        within = {key: lines.get(f"{name}.{key}", lines[name]) for key in values}
        rows.append(_Row(name, lines[name], values, within))
    return rows


def _read_csv_rows(path: Path) -> list[_Row]:
    rows: dict[str, _Row] = {}
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
                values = {key: value for key, value in row.items() if value}
                rows[name] = _Row(name, line, values, dict.fromkeys(_COLUMNS, line))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not CSV: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return list(rows.values())


def _check_row(row: _Row, path: Path) -> Instance:
    if not row.name:
        raise InputError(f"{path}:{row.line}: instance: has no name")
    unknown = next((key for key in row.values if key not in _ACCEPTED), None)
    if unknown is not None:
        hint = did_you_mean(unknown, _ACCEPTED)
        raise InputError(f"{path}:{row.lines[unknown]}: {row.name}: unknown key '{unknown}'; {hint}")
    try:
        return _INSTANCE.validate_python({"gpus": 0.0, **row.values, "name": row.name})
    except ValidationError as error:
        mistakes = error.errors(include_url=False)
    mistake = next((each for each in mistakes if each["type"] == "missing"), mistakes[0])
    key = str(mistake["loc"][0])
    if mistake["type"] == "missing":
        raise InputError(f"{path}:{row.line}: {row.name}: {key} is missing; accepted: {_ACCEPTED[key]}")
    shown = f"{row.values[key]!r} is not accepted; accepted: {_ACCEPTED[key]}"
    raise InputError(f"{path}:{row.lines[key]}: {row.name}: {key}: {shown}")
