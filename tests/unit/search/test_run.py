"""What a search refuses before it prepares data or starts Ray."""

from __future__ import annotations

from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.search.run import run_search


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["search.sampler=grid"], "grid takes choice, int and subsets and optim.learning_rate is a range"),
        (["search.sampler=cmaes"], "is none; tpe, random and qmc take every space"),
        (["search.objective=[val/accuracy, train_seconds]"], "set search.scheduler=none"),
    ],
)
def test_a_search_that_cannot_work_is_refused_before_anything_is_made(
    overrides: list[str], expected: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        run_search("demo", storage=tmp_path, overrides=overrides)
    assert expected in str(refused.value) and "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_a_preparation_that_is_refused_leaves_no_search(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"prompt": "a", "chosen": "b"}\n')
    with pytest.raises(InputError, match="rejected"):
        run_search("smoke", storage=tmp_path / "runs", name="refused", overrides=[f"data.source={pairs}"])
    assert not (tmp_path / "runs" / "refused").exists()
