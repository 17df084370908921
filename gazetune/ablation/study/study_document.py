"""What a study holds and what it takes, before anything starts. Imports neither torch nor Ray."""

from __future__ import annotations

from typing import TypedDict

from gazetune.ablation.study.contrasts import list_contrasts
from gazetune.ablation.study.study import Study
from gazetune.config import DataConfig
from gazetune.preferences.splits import load_splits
from gazetune.train.steps import StepPlan
from gazetune.trials.start.early_checks import is_read_at_once


class ArmDocument(TypedDict):
    """One arm."""

    name: str
    compared_with: list[str]
    sets: dict[str, object]
    """Dotted key -> value, where it differs from the base."""


class StudyDocument(TypedDict):
    """What `gazetune ablate STUDY --show` prints."""

    name: str
    arms: list[ArmDocument]
    seeds: list[int]
    cells: int
    training_examples: int | None
    """Of all cells together; None where the pairs of some data set are not at hand."""
    test_pairs: int | None
    """Of the smallest data set."""
    cost: str
    """The same in a sentence."""


def describe_study(study: Study) -> StudyDocument:
    """Return what a study holds; small sources of pairs are read, to know how many there are.

    Raises
    ------
    InputError
        For pairs that cannot be read.
    """
    pairs = {data: _count_pairs(data) for data in dict.fromkeys(each.data for each in study.arm_configs.values())}
    known = {data: counts for data, counts in pairs.items() if counts is not None}
    examples = 0
    for config in study.arm_configs.values():
        train = known.get(config.data, (0, 0))[0]
        if train:
            plan = StepPlan.from_config(config.train, train)
            examples += len(study.seeds) * plan.examples_after(plan.total_steps)
    compared: dict[str, list[str]] = {}
    for each in list_contrasts(study):
        compared.setdefault(each.arm, []).append(each.baseline)
    is_known = len(known) == len(pairs)
    return {
        "name": study.name,
        "arms": [
            {"name": arm.name, "compared_with": compared.get(arm.name, []), "sets": dict(arm.overrides)}
            for arm in study.arms
        ],
        "seeds": list(study.seeds),
        "cells": len(study.cells),
        "training_examples": examples if is_known else None,
        "test_pairs": min(test for _, test in known.values()) if is_known else None,
        "cost": _describe_cost(study, examples, known, [data.source for data in pairs if data not in known]),
    }


def _count_pairs(data: DataConfig) -> tuple[int, int] | None:
    """Return training and test pairs; None of a source that would take long to read."""
    if not is_read_at_once(data):
        return None
    splits = load_splits(data)
    return len(splits.train), len(splits.test)


def _describe_cost(study: Study, examples: int, known: dict[DataConfig, tuple[int, int]], unknown: list[str]) -> str:
    if unknown:
        return (
            f"{len(study.cells)} trainings to the full budget; the pairs of {', '.join(dict.fromkeys(unknown))} are "
            f"counted once they are read (gazetune plan {study.name} reads them)"
        )
    test = sorted({pairs for _, pairs in known.values()})
    return (
        f"{len(study.cells)} trainings to the full budget, {examples:,} training examples in all; "
        f"{' or '.join(map(str, test))} test pairs; hours: gazetune plan {study.name} --calibrate"
    )
