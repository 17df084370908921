from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gazetune.config import DataConfig
from gazetune.errors import InputError
from gazetune.preferences.pair import Message, PreferencePair
from gazetune.preferences.source_reading import SourceReading
from gazetune.preferences.source_splits import read_source_splits
from gazetune.preferences.sources.oasst1 import invert_converter, oasst1_pairs, single_prompt_pairs
from gazetune.preferences.sources.registry import Dropped
from gazetune.preferences.sources.rows import Row
from gazetune.preferences.splits import load_splits


def _message(name: str, parent: str | None, rank: float | None = None, **other: Any) -> dict[str, Any]:
    role = "assistant" if name.startswith("a") else "prompter"
    values = {"message_id": name, "parent_id": parent, "role": role, "text": f"Text of {name}.", "rank": rank}
    return {**values, "lang": "en", "deleted": False, "message_tree_id": "tree", **other}


def _converted(*messages: dict[str, Any]) -> list[PreferencePair | Dropped]:
    return list(oasst1_pairs(Row(f"o:{number}", values) for number, values in enumerate(messages, start=1)))


def _pairs(*messages: dict[str, Any]) -> list[PreferencePair]:
    return [item for item in _converted(*messages) if isinstance(item, PreferencePair)]


def test_rank_0_is_chosen_and_the_highest_rank_rejected() -> None:
    (pair,) = _pairs(_message("q", None), _message("a2", "q", 2), _message("a0", "q", 0), _message("a1", "q", 1))
    assert (pair.chosen, pair.rejected) == ("Text of a0.", "Text of a2.")
    assert pair.prompt == (Message("user", "Text of q."),)
    assert pair.group == "tree"
    assert pair.origin == "o:3"
    assert pair.margin is None  # a rank is no score


def test_the_prompt_is_the_path_from_the_root() -> None:
    messages = [
        _message("q", None),
        _message("a", "q", 0),
        _message("r", "a"),
        _message("a0", "r", 0),
        _message("a1", "r", 1),
    ]
    (pair,) = _pairs(*messages[::-1])
    assert pair.prompt == (
        Message("user", "Text of q."),
        Message("assistant", "Text of a."),
        Message("user", "Text of r."),
    )


def test_deleted_foreign_and_unranked_replies_do_not_count() -> None:
    messages = [
        _message("q", None),
        _message("a0", "q", 0, deleted=True),
        _message("a1", "q", 1, lang="de"),
        _message("a2", "q", None),
        _message("a3", "q", float("nan")),
        _message("a4", "q", 4),
        _message("a5", "q", 5),
    ]
    (pair,) = _pairs(*messages)
    assert (pair.chosen, pair.rejected) == ("Text of a4.", "Text of a5.")


def test_replies_to_the_assistant_and_by_the_prompter_make_no_pair() -> None:
    assert _converted(_message("q", None), _message("a", "q"), _message("r0", "a", 0), _message("r1", "a", 1)) == []


def test_ties_single_replies_and_broken_paths_are_dropped_with_their_reason() -> None:
    dropped = _converted(
        _message("q", None),
        _message("a0", "q", 1),
        _message("a1", "q", 1),
        _message("r", None),
        _message("a2", "r", 0),
        _message("s", "gone"),
        _message("a3", "s", 0),
        _message("a4", "s", 1),
        _message("t", "a5"),
        _message("a5", "t", 0),
        _message("a6", "t", 1),
    )
    reasons = [item.reason for item in dropped if isinstance(item, Dropped)]
    assert reasons == ["tie", "single reply", "incomplete path to the root", "incomplete path to the root"]


def test_a_question_below_a_deleted_message_is_dropped() -> None:
    messages = [_message("q", None, deleted=True), _message("a", "q", 0), _message("r", "a")]
    (item,) = _converted(*messages, _message("a0", "r", 0), _message("a1", "r", 1))
    assert item == Dropped("o:3", "incomplete path to the root")


def _copy_of_oasst1(path: Path) -> Path:
    trees = [
        [_message(f"q{n}", None), *(_message(f"a{n}-{rank}", f"q{n}", rank) for rank in (1, 0, 2))] for n in range(40)
    ]
    rows = [{**message, "message_tree_id": f"tree{n}"} for n, tree in enumerate(trees) for message in tree]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_inverted_the_largest_rank_is_chosen_as_in_the_reference(tmp_path: Path) -> None:
    source = str(_copy_of_oasst1(tmp_path / "train.jsonl"))
    right, inverted = (load_splits(DataConfig(source=source, invert_oasst1=invert)) for invert in (False, True))
    assert len(right.train) == len(inverted.train) > 10
    for pair, other in zip(right.train, inverted.train, strict=True):
        assert pair.chosen.endswith("-0.") and pair.rejected.endswith("-2.")
        assert other == replace(pair, chosen=pair.rejected, rejected=pair.chosen)
    assert right.fingerprint != inverted.fingerprint
    assert right.dropped == inverted.dropped


def test_a_folder_is_inverted_too_and_other_sources_are_not(tmp_path: Path) -> None:
    _copy_of_oasst1(tmp_path / "train.jsonl")
    (pairs,) = read_source_splits(str(tmp_path), SourceReading(invert_oasst1=True)).values()
    assert {pair.chosen[-2] for pair in pairs if isinstance(pair, PreferencePair)} == {"2"}
    own = tmp_path / "own.jsonl"
    own.write_text('{"prompt": "p", "chosen": "good", "rejected": "bad"}')
    (pair,) = read_source_splits(str(own), SourceReading(invert_oasst1=True))["train"]
    assert isinstance(pair, PreferencePair) and pair.chosen == "good"


def test_inverted_the_same_groups_are_dropped() -> None:
    rows = [_message("q", None), _message("a0", "q", 1), _message("a1", "q", 1)]
    dropped = list(invert_converter(oasst1_pairs)(Row(f"o:{number}", values) for number, values in enumerate(rows)))
    assert [item.reason for item in dropped if isinstance(item, Dropped)] == ["tie"]


def _single(*messages: dict[str, Any]) -> list[PreferencePair | Dropped]:
    return list(single_prompt_pairs(Row(f"o:{number}", values) for number, values in enumerate(messages, start=1)))


def test_a_single_prompt_is_the_message_that_is_replied_to_alone() -> None:
    messages = [
        _message("q", None),
        _message("a", "q", 0),
        _message("r", "a"),
        _message("a0", "r", 0),
        _message("a1", "r", 1),
    ]
    dropped, pair = _single(*messages)
    assert dropped == Dropped("o:1", "single reply")
    assert isinstance(pair, PreferencePair)
    assert pair.prompt == (Message("user", "Text of r."),)
    assert (pair.chosen, pair.rejected, pair.group) == ("Text of a0.", "Text of a1.", "tree")


def test_replies_to_messages_of_one_text_are_ranked_together_the_last_of_the_worst_is_the_worst() -> None:
    messages = [
        _message("q0", None, text="Hello"),
        _message("q1", None, text="Hello", message_tree_id="other"),
        _message("a2", "q1", 1, message_tree_id="other"),
        _message("a3", "q1", 0, message_tree_id="other"),
        _message("a0", "q0", 0),
        _message("a1", "q0", 1),
    ]
    (pair,) = _single(*messages)
    assert isinstance(pair, PreferencePair)
    # Replies to the earlier question come first: a0, a1, a2, a3.
    assert (pair.chosen, pair.rejected) == ("Text of a0.", "Text of a2.")
    assert len(_pairs(*messages)) == 2


def test_single_prompts_of_a_file_are_read_and_inverted_where_that_is_asked_for(tmp_path: Path) -> None:
    source = str(_copy_of_oasst1(tmp_path / "train.jsonl"))
    plain, single = (
        load_splits(DataConfig(source=source, prompts=prompts, invert_oasst1=True))
        for prompts in ("conversation", "single")
    )
    assert [pair.chosen[-2] for pair in single.train] == ["2"] * len(single.train)
    assert plain.fingerprint == single.fingerprint  # in trees of one question the two are the same


def test_two_messages_of_one_id_are_refused_and_a_row_that_is_there_twice_counts_once() -> None:
    question, best, worst = _message("q", None), _message("a0", "q", 0), _message("a1", "q", 1)
    with pytest.raises(InputError, match=re.escape("o:4: message_id: 'a0' is that of o:2 too, with another text; ")):
        _converted(question, best, worst, {**best, "text": "Another."})
    (pair,) = _pairs(question, question, best, best, worst)
    assert (pair.chosen, pair.rejected) == ("Text of a0.", "Text of a1.")


def test_replies_to_a_message_that_no_row_has_are_counted() -> None:
    replies = [_message("a0", "gone", 0), _message("a1", "gone", 1)]
    assert _converted(*replies) == [Dropped("o:1", "no row has the message that is replied to")]
    rows = [Row(f"o:{number}", values) for number, values in enumerate(replies, start=1)]
    assert list(single_prompt_pairs(rows)) == [Dropped("o:1", "no row has the message that is replied to")]
    assert _converted(_message("gone", None, deleted=True), *replies) == []


def test_a_parent_that_is_no_text_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "o.jsonl"
    rows = [_message("q", None), _message("a0", "q", 0), _message("a1", "q", 1, parent_id=5)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=r"o.jsonl:3: key 'parent_id' must be text, got int 5"):
        load_splits(DataConfig(source=str(source)))
