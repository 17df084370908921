from __future__ import annotations

from typing import Any

from gazetune.preferences.pair import Message, PreferencePair
from gazetune.preferences.sources.oasst1 import oasst1_pairs
from gazetune.preferences.sources.registry import Dropped
from gazetune.preferences.sources.rows import Row


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
        _message("q", None), _message("a0", "q", 1), _message("a1", "q", 1),
        _message("r", None), _message("a2", "r", 0),
        _message("s", "gone"), _message("a3", "s", 0), _message("a4", "s", 1),
        _message("t", "a5"), _message("a5", "t", 0), _message("a6", "t", 1),
    )  # fmt: skip
    reasons = [item.reason for item in dropped if isinstance(item, Dropped)]
    assert reasons == ["tie", "single reply", "incomplete path to the root", "incomplete path to the root"]


def test_a_question_below_a_deleted_message_is_dropped() -> None:
    messages = [_message("q", None, deleted=True), _message("a", "q", 0), _message("r", "a")]
    (item,) = _converted(*messages, _message("a0", "r", 0), _message("a1", "r", 1))
    assert item == Dropped("o:3", "incomplete path to the root")
