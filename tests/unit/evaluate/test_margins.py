from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.evaluate.margins import Margins, keep_validation_margins, margins_file, read_margins, write_margins
from gazetune.preferences.pair import item_key
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.data.rendered_length import load_pair_splits


def some_margins(pairs: int) -> Margins:
    items = np.array([f"{number:064x}" for number in range(pairs)])
    rewards = np.random.default_rng(0).normal(size=(pairs, 2))
    return Margins(items, items, rewards, np.full((pairs, 2), 7, dtype=np.int32))


def test_what_is_written_is_read_bit_by_bit(tmp_path: Path) -> None:
    written = some_margins(30)
    write_margins(tmp_path / "test.parquet", written)
    read = read_margins(tmp_path / "test.parquet")
    np.testing.assert_array_equal(read.rewards, written.rewards)
    assert read.items.tolist() == written.items.tolist() and read.groups.tolist() == written.groups.tolist()
    assert read.words.dtype == np.int32 and read.words.tolist() == written.words.tolist()
    np.testing.assert_array_equal(pq.read_table(tmp_path / "test.parquet")["margin"].to_numpy(), written.margins)


def test_columns_of_different_lengths_are_no_margins() -> None:
    made = some_margins(3)
    with pytest.raises(ValueError, match=r"one row a pair, got columns of \[2, 3\] rows"):
        Margins(made.items[:2], made.groups, made.rewards, made.words)


@pytest.mark.parametrize("content", [None, b"PAR1 cut off", "other columns"], ids=["missing", "damaged", "columns"])
def test_a_file_that_is_none_of_margins_is_refused_by_its_name(content: bytes | str | None, tmp_path: Path) -> None:
    file = tmp_path / "test.parquet"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        pq.write_table(pa.table({"item": ["a"], "margin": [0.5]}), file)
    with pytest.raises(InputError, match=r"test\.parquet: (no such file|is no file of margins)"):
        read_margins(file)


def test_the_margins_of_a_run_are_keyed_by_what_the_pairs_say(tmp_path: Path) -> None:
    config = Config.model_validate({"data": {"pairs": 60}})
    data = prepare_data(config, tmp_path / "cache")
    run = tmp_path / "run"
    assert keep_validation_margins(run, data) is None, "no model was saved"
    (run / "best").mkdir(parents=True)
    rewards = np.random.default_rng(1).normal(size=(len(data.validation), 2))
    np.save(run / "best" / "rewards.npy", rewards)
    assert keep_validation_margins(run, data) == margins_file(run, "validation")
    kept, pairs = read_margins(margins_file(run, "validation")), load_pair_splits(config).validation
    assert kept.items.tolist() == [item_key(pair) for pair in pairs]
    assert len(set(kept.groups)) == len({pair.group for pair in pairs})
    np.testing.assert_array_equal(kept.rewards, rewards)
    assert kept.words.tolist() == [[len(pair.chosen.split()), len(pair.rejected.split())] for pair in pairs]
