"""A row that the chat template refuses stops, or is dropped and counted like every other bad row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.data.rendered_length import load_pair_splits
from gazetune.train.scoring.evaluate_saved_model import evaluate_saved_model
from tests.cases.pair_files import make_rows, write_rows
from tests.saved_models import save_untrained_model

ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
)
REASON = "refused by the chat template: roles must alternate"
LINE = "the chat template refuses the roles system, user, assistant: roles must alternate"


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "alternating.jinja"
    path.write_text(ALTERNATING)
    return path


def config_of(template: Path, rows: list[dict[str, Any]], **data: Any) -> Config:
    source = write_rows(template.parent / "pairs.jsonl", rows)
    return Config.model_validate({"data": {"source": str(source), "chat_template": str(template), **data}})


def with_system(rows: list[dict[str, Any]], *numbers: int) -> list[dict[str, Any]]:
    return [{**row, "system": "Be brief."} if number in numbers else row for number, row in enumerate(rows, start=1)]


@pytest.mark.parametrize("counted", ["contents", "rendered"])
def test_it_stops_or_is_counted(counted: str, template: Path, tmp_path: Path) -> None:
    rows = with_system(make_rows(60), 7, 30)
    with pytest.raises(InputError) as refused:
        prepare_data(config_of(template, rows, max_chars_of=counted), tmp_path / "cache")
    line = str(refused.value)
    assert f"{tmp_path / 'pairs.jsonl'}:" in line and f": {LINE}; data.on_bad_row=drop leaves such rows out" in line
    assert not list((tmp_path / "cache").rglob("facts.json"))
    config = config_of(template, rows, max_chars_of=counted, on_bad_row="drop")
    facts = prepare_data(config, tmp_path / "cache").facts
    assert facts.dropped == {REASON: 2} and sum(facts.pairs.values()) == 58
    assert facts.describe_pairs()[0].endswith(f"; dropped: 2 {REASON}")
    assert facts.count_tags()["gazetune.dropped"] == f"2 {REASON}"


def test_it_counts_with_the_other_bad_rows_for_the_largest_share(template: Path, tmp_path: Path) -> None:
    empty = [{**row, "chosen": ""} for row in make_rows(3, start=100)]
    config = config_of(template, with_system([*make_rows(57), *empty], 1, 2, 3, 4), on_bad_row="drop")
    with pytest.raises(InputError) as refused:
        prepare_data(config, tmp_path / "cache")
    assert str(refused.value).endswith(
        f"; in all 7 of 60 rows give no pair (4 {REASON}, 3 empty reply), and data.max_bad_rows is 0.1"
    )
    assert not list((tmp_path / "cache").rglob("facts.json"))
    more = config_of(template, with_system([*make_rows(57), *empty], 1, 2, 3), on_bad_row="drop")
    assert prepare_data(more, tmp_path / "cache").facts.dropped == {"empty reply": 3, REASON: 3}


def test_a_source_of_which_every_row_is_refused_says_why(template: Path, tmp_path: Path) -> None:
    config = config_of(template, with_system(make_rows(20), *range(1, 21)), on_bad_row="drop", max_bad_rows=1.0)
    with pytest.raises(InputError, match=rf"no pair of the train split is left \(left out: \d+ {REASON}\)$"):
        prepare_data(config, tmp_path / "cache")


def test_pairs_that_are_rendered_to_be_measured_leave_no_room_for_others(template: Path) -> None:
    config = config_of(template, with_system(make_rows(60), 1), max_chars_of="rendered", on_bad_row="drop", pairs=40)
    splits = load_pair_splits(config)
    assert splits.dropped == {REASON: 1} and splits.reading.good == 40


def test_it_is_dropped_where_a_saved_model_is_evaluated(template: Path, tmp_path: Path) -> None:
    folder = save_untrained_model(tmp_path / "best", tmp_path / "cache")
    settings = folder / "tokenizer" / "tokenizer_config.json"
    (folder / "tokenizer" / "chat_template.jinja").write_text(ALTERNATING)
    assert "chat_template" not in json.loads(settings.read_text())
    config = config_of(template, with_system(make_rows(30), 5), on_bad_row="drop")
    found = evaluate_saved_model(folder, tmp_path, config, ["data.source"])
    assert found["data"]["dropped"] == {REASON: 1} and found["test"]["n"] == 29
