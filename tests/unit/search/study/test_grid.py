from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study.samplers.grid import grid_points


def space(folder: Path, axes: str, more: str = "") -> SearchSpace:
    text = f"name: grid\nbase: {{gaze: {{predictor: planted}}}}\nspace: {axes}\n{more}\n"
    (folder / "space.yaml").write_text(text)
    return read_space(folder / "space.yaml")


def test_a_grid_has_each_combination_that_conditions_allow_once(tmp_path: Path) -> None:
    axes = "{fusion.kind: {choice: [none, add]}, fusion.scale: {choice: [learned, 1.0, 2.0], when: fusion.kind == add}}"
    points = grid_points(space(tmp_path, axes))
    assert points == [
        {"fusion.kind": "none"},
        *({"fusion.kind": "add", "fusion.scale": scale} for scale in ("learned", 1.0, 2.0)),
    ]


def test_a_subsets_axis_has_every_subset_but_the_empty_one(tmp_path: Path) -> None:
    grid = space(tmp_path, "{gaze.features: {subsets: [nFix, FFD, GPT, TRT]}, train.batch_size: {int: [4, 6]}}")
    assert len(grid_points(grid)) == 15 * 3


def test_a_grid_has_no_point_that_is_forbidden(tmp_path: Path) -> None:
    axes = "{fusion.kind: {choice: [none, add]}, train.batch_size: {int: [4, 6]}}"
    points = grid_points(space(tmp_path, axes, "forbid: [fusion.kind == add and train.batch_size == 5]"))
    assert len(points) == 5 and {"fusion.kind": "add", "train.batch_size": 5} not in points


def test_a_grid_without_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="grid has more than 100000 points"):
        grid_points(space(tmp_path, "{train.seed: {int: [0, 1000000]}}"))
