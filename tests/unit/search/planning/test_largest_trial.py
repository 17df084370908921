"""The trial of a space that needs the most memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.search.planning.largest_trial import find_largest_trial
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.train.limits.memory_estimate import configured_memory


def space_of(text: str, folder: Path) -> SearchSpace:
    file = folder / "space.yaml"
    file.write_text(f"name: sizes\n{text}")
    return read_space(file)


def test_the_adapter_and_stage_with_the_most_memory_are_found(tmp_path: Path) -> None:
    space = space_of(
        "space: {adapter.kind: {choice: [lora, full, none]}, deepspeed.stage: {choice: [2, 0, 3]}}", tmp_path
    )
    config, plan = find_largest_trial(space)
    assert config.adapter.kind == "full"
    needed = configured_memory(config, plan).device_total
    assert needed == max(each.device_total for each in plan.worker_memory if each.offload == "none")


def test_an_axis_whose_condition_fails_is_not_counted(tmp_path: Path) -> None:
    space = space_of(
        "base: {adapter: {r: 4, kind: lora}}\n"
        "space: {adapter.kind: {choice: [lora, none]}, adapter.r: {int: [8, 256], when: adapter.kind == none}}",
        tmp_path,
    )
    config, _ = find_largest_trial(space)
    assert (config.adapter.kind, config.adapter.r) == ("lora", 4)


def test_fewer_workers_that_share_a_model_hold_more_of_it_each(tmp_path: Path) -> None:
    space = space_of(
        "base: {adapter: {kind: full}, deepspeed: {stage: 3}}\nspace: {resources.workers: {choice: [4, 1, 2]}}",
        tmp_path,
    )
    config, _ = find_largest_trial(space)
    assert config.resources.workers == 1


def test_combinations_that_are_refused_are_left_out(tmp_path: Path) -> None:
    space = space_of(
        "base: {deepspeed: {stage: 2}}\n"
        "space: {deepspeed.stage: {choice: [2, 3]}, deepspeed.offload: {choice: [none, cpu]}}",
        tmp_path,
    )
    find_largest_trial(space)
    with pytest.raises(InputError):
        space_of("base: {deepspeed: {stage: 1, offload: cpu}}\nspace: {adapter.r: {int: [1, 2]}}", tmp_path)


def test_the_widest_pass_is_found_also_where_none_is_named(tmp_path: Path) -> None:
    def widest(values: str) -> int | None:
        axis = f"space: {{train.batch_tokens: {{choice: [{values}]}}}}"
        return find_largest_trial(space_of(f"base: {{train: {{batch_size: 8}}}}\n{axis}", tmp_path))[
            0
        ].train.batch_tokens

    assert widest("4096, 16384, 8192") == 16384
    assert widest("4096, null") is None, "a pass of all pairs has more positions"
