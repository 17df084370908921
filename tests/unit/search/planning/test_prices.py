from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.config import ResourcesConfig
from gazetune.errors import InputError
from gazetune.search.planning.prices import Instance, read_prices


def test_a_machine_that_holds_several_slots_costs_each_its_share() -> None:
    machine = Instance("m", cpus=8, gpus=4, price=12.0)
    one_gpu = ResourcesConfig(workers=1, gpus_per_worker=1)
    assert machine.cost_of_slot(10.0, one_gpu) == pytest.approx(10 * 12.0 / 4)
    assert machine.cost_of_slot(10.0, ResourcesConfig(workers=2, gpus_per_worker=1)) == pytest.approx(10 * 12.0 / 2)
    assert machine.cost_of_slot(10.0, ResourcesConfig(workers=1, cpus_per_worker=8)) == pytest.approx(120.0)


def test_a_slot_that_needs_several_machines_pays_for_them_all() -> None:
    machine = Instance("m", cpus=8, gpus=4, price=12.0)
    assert machine.cost_of_slot(10.0, ResourcesConfig(workers=5, gpus_per_worker=1)) == pytest.approx(240.0)
    assert machine.cost_of_slot(10.0, ResourcesConfig(workers=8, gpus_per_worker=1)) == pytest.approx(240.0)


def test_a_machine_that_holds_no_worker_has_no_price() -> None:
    assert Instance("m", cpus=64, gpus=0, price=1.0).cost_of_slot(1.0, ResourcesConfig(gpus_per_worker=1)) is None


def test_yaml_and_csv_say_the_same(tmp_path: Path) -> None:
    yaml, csv = tmp_path / "prices.yaml", tmp_path / "prices.csv"
    yaml.write_text("small: {cpus: 4, price: 0.2}\nlarge: {cpus: 8, gpus: 1, price: 1.5}\n")
    csv.write_text("instance,price,cpus,gpus\nsmall,0.2,4,\nlarge,1.5,8,1\n")
    assert read_prices(yaml) == read_prices(csv)
    assert read_prices(csv) == (Instance("small", 4.0, 0.0, 0.2), Instance("large", 8.0, 1.0, 1.5))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "p.yaml",
            "a: {cpus: 4, price: 1}\nb:\n  cpus: x\n  price: 1\n",
            "p.yaml:3: b: cpus: 'x' is not accepted",
        ),
        ("p.yaml", "a:\n  cpus: 4\n  prise: 1\n", "p.yaml:3: a: unknown key 'prise'; did you mean 'price'?"),
        ("p.yaml", "a: {cpus: 4}\n", "p.yaml:1: a: price is missing; accepted: a number >= 0"),
        ("p.yaml", "a: 4\n", "p.yaml:1: a: 4 is not accepted; accepted: cpus, gpus, price"),
        ("p.yaml", "a: {cpus: 0, price: 1}\n", "p.yaml:1: a: cpus: 0 is not accepted; accepted: a number > 0"),
        ("p.yaml", "a: {cpus: 1, price: .nan}\n", "p.yaml:1: a: price: nan is not accepted"),
        ("p.yaml", "a: {cpus: 1, price: true}\n", "p.yaml:1: a: price: True is not accepted"),
        ("p.csv", "instance,cpus,price\na,4,1\nb,4,-1\n", "p.csv:3: b: price: '-1' is not accepted"),
        ("p.csv", "instance,cpus,cost\n", "p.csv:1: unknown column 'cost'; "),
        ("p.csv", "instance,cpus,price\na,4\n", "p.csv:2: a: price is missing"),
        ("p.csv", "instance,cpus,price\na,4,1,7\n", "p.csv:2: more values than columns"),
        ("p.csv", "instance,cpus,price\na,4,1\na,5,2\n", "p.csv:3: instance: 'a' stands twice"),
        ("p.csv", "cpus,price\n4,1\n", "p.csv:2: instance: has no name"),
        ("p.csv", "instance,cpus,price\n", "p.csv: there is no price in it"),
        ("p.csv", "", "p.csv: there is no price in it"),
        ("p.txt", "", "accepted: a .yaml, .yml or .csv file"),
    ],
)
def test_a_mistake_in_the_table_is_named_with_its_line(tmp_path: Path, name: str, text: str, expected: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_prices(tmp_path / name)
    assert expected in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    for name in ("p.csv", "p.yaml"):
        with pytest.raises(InputError, match=f"{name}: no such file"):
            read_prices(tmp_path / name)
