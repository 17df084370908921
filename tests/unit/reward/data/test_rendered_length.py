"""`data.max_chars_of: rendered`: the chats count with what the template writes around their contents."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gazetune.config import Config
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.rendered_length import create_counter, load_pair_splits


def config_of(folder: Path, **data: object) -> Config:
    source = folder / "pairs.jsonl"
    rows = [
        {"prompt": f"a question {number}", "chosen": f"good reply {number}", "rejected": f"bad one!!! {number}"}
        for number in range(10, 30)
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Config.model_validate({"data": {"source": str(source), **data}})


def test_a_rendered_chat_counts_with_what_the_template_writes(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    pair = load_splits(config.data).train[0]
    chats = [pair.chat_with(reply) for reply in (pair.chosen, pair.rejected)]
    written = sum(len("".join(f"<|{message.role}|>{message.content}<|end|>" for message in chat)) for chat in chats)
    assert create_counter(config)(pair) == written


@pytest.mark.parametrize("preset", ["corrected", "reference"])
def test_pairs_over_max_chars_are_dropped_by_what_is_counted(preset: str, tmp_path: Path) -> None:
    config = config_of(tmp_path)
    contents = 2 * len("a question 00") + len("good reply 00") + len("bad one!!! 00")
    rendered = create_counter(config)(load_splits(config.data).train[0])
    assert rendered > contents
    tree = {**config.model_dump(mode="json", include={"data"}), "preset": preset}
    for counted, limit, dropped in (
        ("contents", contents, 0),
        ("rendered", rendered, 0),
        ("rendered", rendered - 1, 20),
    ):
        data = {**tree["data"], "max_chars_of": counted, "max_chars": limit}
        asked = Config.model_validate({**tree, "data": data})
        if dropped:
            with pytest.raises(Exception, match=f"{dropped} longer than max_chars"):
                load_pair_splits(asked)
        else:
            assert load_pair_splits(asked).dropped == {}
