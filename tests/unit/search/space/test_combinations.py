from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from gazetune.search.space.combinations import SpaceSize
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space

HEAD = "name: small\nbase: {gaze: {predictor: planted}}\nspace:\n"


def space_of(tmp_path: Path, text: str) -> SearchSpace:
    path = tmp_path / "space.yaml"
    path.write_text(HEAD + text)
    return read_space(path)


def size_of(tmp_path: Path, text: str) -> SpaceSize:
    return space_of(tmp_path, text).count_combinations()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("  adapter.r: {int: [1, 1000000]}\n", (1_000_000, False)),
        ("  adapter.r: {int: [1, 9]}\n  optim.weight_decay: {uniform: [0, 1]}\n", (9, True)),
        ("  gaze.features: {subsets: [nFix, FFD, GPT, TRT, fixProp]}\n", (31, False)),
        (
            "  fusion.kind: {choice: [none, add]}\n"
            "  gaze.features: {subsets: [nFix, FFD, TRT], when: fusion.kind != none}\n",
            (8, False),
        ),
        (
            "  adapter.r: {int: [1, 1000], step: 3}\n  adapter.alpha: {int: [1, 10], when: adapter.r > 500}\n",
            (167 + 167 * 10, False),
        ),
        ("  adapter.r: {int: [1, 100]}\nforbid: [adapter.r >= 10 and adapter.r <= 19]\n", (90, False)),
        (
            "  adapter.r: {int: [1, 4]}\n  optim.weight_decay: {uniform: [0, 1]}\n"
            "forbid: [adapter.r == 2 and optim.weight_decay > 0.5]\n",
            (4, True),
        ),
    ],
)
def test_size(tmp_path: Path, text: str, size: tuple[int, bool]) -> None:
    assert size_of(tmp_path, text) == SpaceSize(*size, exact=True)


def test_size_equals_a_count_by_hand_with_conditions_and_forbids(tmp_path: Path) -> None:
    text = """\
  fusion.kind: {choice: [none, add, concat]}
  gaze.align: {choice: [spread, first], when: fusion.kind == add}
  adapter.r: {int: [1, 12]}
  train.batch_size: {choice: [8, 16], when: 'adapter.r not in [3, 5]'}
  gaze.features: {subsets: [FFD, GPT, TRT], when: fusion.kind != none}
forbid: ["gaze.features == [TRT] and adapter.r < 4", gaze.align == first and train.batch_size == 8]
"""
    masks = [m for size in (1, 2, 3) for m in itertools.combinations(("FFD", "GPT", "TRT"), size)]
    count = 0
    for kind, r in itertools.product(("none", "add", "concat"), range(1, 13)):
        for align in ("spread", "first") if kind == "add" else ("spread",):
            for batch in (8, 16) if r not in (3, 5) else (16,):  # the default
                for mask in masks if kind != "none" else [None]:
                    count += not (mask == ("TRT",) and r < 4) and not (align == "first" and batch == 8)
    assert size_of(tmp_path, text) == SpaceSize(count, False, True)


def test_more_cases_than_are_visited_are_said_to_be_no_exact_count(tmp_path: Path) -> None:
    keys = ("adapter.r", "train.accumulate", "train.eval_every", "train.seed", "data.seed")
    axes = "".join(f"  {key}: {{int: [1, 9]}}\n" for key in keys)
    forbids = "".join(f'  - "{key} == {value} and optim.weight_decay == 7"\n' for key in keys for value in range(1, 10))
    space = space_of(tmp_path, axes + f"forbid:\n{forbids}")
    size = space.count_combinations()
    assert not size.exact and size.finite == 50_000


def test_combinations_follow_groups_conditions_and_forbids(tmp_path: Path) -> None:
    text = """\
  arm:
    choice:
      plain: {fusion.kind: none}
      added: {fusion.kind: add, gaze.control: {choice: [none, noise]}}
  adapter.r: {int: [1, 12]}
  data.seed: {choice: [3, 4], when: adapter.r > 4}
forbid: [gaze.control == noise and data.seed == 4]
"""
    space = space_of(tmp_path, text)
    found = {(config.fusion.kind, config.gaze.control, config.data.seed) for config in space.data_configs()}
    # Whether the rank exceeds 4 is not known beforehand, so the base's seed (0) is among those that may be needed.
    everything = set(itertools.product(["none"], ["none"], [0, 3, 4])) | set(
        itertools.product(["add"], ["none", "noise"], [0, 3, 4])
    )
    assert found == everything - {("add", "noise", 4)}
