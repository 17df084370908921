"""The demo finds what was planted, whatever the seed of the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.commands import gazetune_json

SEEDS = range(5)


def demo(seed: int, storage: Path) -> dict[str, Any]:
    arguments = ["search", "demo", "--set", f"search.seed={seed}", "--name", f"demo-{seed}", "--storage", str(storage)]
    return gazetune_json(*arguments)


def finds_what_was_planted(document: dict[str, Any]) -> bool:
    best, no_gaze = document["best"], document["baselines"]["no_gaze"]
    return (
        best["params"]["fusion.kind"] != "none"
        and {"FFD", "TRT"} <= set(best["params"]["gaze.features"])
        and best["test"]["n"] >= 400
        and best["test"]["accuracy"] >= 0.80
        and no_gaze["difference"] >= 0.10
    )


@pytest.mark.long("demo")
def test_the_demo_finds_the_planted_mask_for_at_least_four_of_five_seeds(tmp_path: Path) -> None:
    documents = [demo(seed, tmp_path) for seed in SEEDS]
    found = [finds_what_was_planted(document) for document in documents]
    print([(document["best"]["params"], document["best"]["test"], document["baselines"]) for document in documents])
    assert sum(found) >= 4, found
