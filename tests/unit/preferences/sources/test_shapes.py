from __future__ import annotations

from typing import Any

import pytest

from gazetune.errors import InputError
from gazetune.preferences.pair import Message, PreferencePair
from gazetune.preferences.source_splits import read_own_pairs
from gazetune.preferences.sources.registry import Dropped
from gazetune.preferences.sources.rows import Row
from gazetune.preferences.sources.shapes import pair_from_row

USER = {"role": "user", "content": "Hi"}
GOOD = {"role": "assistant", "content": "Hello."}
BAD = {"role": "assistant", "content": "Go."}
PROMPT = (Message("user", "Hi"),)


def _pair(**values: Any) -> PreferencePair:
    (pair,) = read_own_pairs([Row("f.jsonl:7", values)])
    return pair


def _refused(message: str, **values: Any) -> None:
    with pytest.raises(InputError, match=message) as caught:
        list(read_own_pairs([Row("f.jsonl:7", values)]))
    assert str(caught.value).startswith("f.jsonl:7: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": "Hi", "chosen": "Hello.", "rejected": "Go."},
        {"prompt": [USER], "chosen": "Hello.", "rejected": "Go."},
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": "Hi", "chosen": [USER, GOOD], "rejected": [BAD]},
        {"prompt": [USER], "chosen": [USER, GOOD], "rejected": "Go."},
        {"chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": None, "chosen": [USER, GOOD], "rejected": [USER, BAD], "id": 3},
        {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello.", "rejected": "\n\nHuman: Hi\n\nAssistant: Go."},
        {"chosen": "Human: Hi\n\nAssistant: Hello.", "rejected": "Human: Hi \n\nAssistant: Go.\n"},
        {"prompt": "\n\nHuman: Hi\n\nAssistant:", "chosen": "Hello.", "rejected": "Go."},
        {"prompt": "Hi", "chosen": "\n\nHuman: Hi\n\nAssistant: Hello.", "rejected": "Go."},
    ],
)
def test_every_shape_gives_the_same_pair(values: dict[str, Any]) -> None:
    pair = _pair(**values)
    assert (pair.prompt, pair.chosen, pair.rejected) == (PROMPT, "Hello.", "Go.")
    assert pair.origin == "f.jsonl:7"
    assert pair.margin is None


def test_implicit_prompt_of_several_turns_is_the_whole_shared_beginning() -> None:
    start = "\n\nHuman: One\n\nAssistant: Two\n\nHuman: Three"
    pair = _pair(chosen=f"{start}\n\nAssistant: Yes\n\nor so.", rejected=f"{start}\n\nAssistant: No")
    assert pair.prompt == (Message("user", "One"), Message("assistant", "Two"), Message("user", "Three"))
    assert (pair.chosen, pair.rejected) == ("Yes\n\nor so.", "No")


@pytest.mark.parametrize(
    ("spelling", "role"),
    [("human", "user"), ("prompter", "user"), ("Human", "user"), ("system", "system"), ("gpt", "assistant")],
)
def test_spellings_of_roles_are_normalised(spelling: str, role: str) -> None:
    prompt = [{"role": spelling, "content": "x"}, {"role": "human", "content": "Hi"}]
    assert [message.role for message in _pair(prompt=prompt, chosen="a", rejected="b").prompt] == [role, "user"]


def test_roles_that_do_not_alternate_are_accepted() -> None:
    prompt = [USER, USER, GOOD, GOOD, USER]
    roles = [message.role for message in _pair(prompt=prompt, chosen="a", rejected="b").prompt]
    assert roles == ["user", "user", "assistant", "assistant", "user"]


@pytest.mark.parametrize("names", [("score_chosen", "score_rejected"), ("chosen_score", "rejected_score")])
def test_scores_become_the_margin(names: tuple[str, str]) -> None:
    scores = dict(zip(names, (7, 4.5), strict=True))
    assert _pair(prompt="Hi", chosen="a", rejected="b", **scores).margin == 2.5
    assert _pair(chosen=[USER, GOOD], rejected=[USER, BAD], **scores).margin == 2.5
    assert _pair(prompt="Hi", chosen="a", rejected="b", **dict.fromkeys(names)).margin is None
    _refused(f"key '{names[1]}' is missing", prompt="Hi", chosen="a", rejected="b", **{names[0]: 7})
    _refused(
        f"key '{names[0]}' must be a finite number", prompt="Hi", chosen="a", rejected="b", **{**scores, names[0]: "7"}
    )


def test_a_margin_is_taken_as_it_stands_and_before_scores() -> None:
    row = {"prompt": "Hi", "chosen": "a", "rejected": "b"}
    assert _pair(**row, margin=2).margin == 2.0
    assert _pair(**row, margin=0.5, chosen_score=7, rejected_score=1).margin == 0.5
    assert _pair(**row, margin=None, chosen_score=7, rejected_score=1).margin == 6.0
    assert _pair(**row, margin=None).margin is None
    assert _pair(**row, chosen_score=3, rejected_score=3).margin == 0.0


@pytest.mark.parametrize(
    ("margin", "message"),
    [
        (-0.5, r"key 'margin' must be a number from 0 to 3.4e\+38, got -0.5"),
        (1e39, r"key 'margin' must be a number from 0 to 3.4e\+38, got 1e\+39"),
        (float("nan"), "key 'margin' must be a finite number, got nan"),
        (float("inf"), "key 'margin' must be a finite number, got inf"),
        ("1.5", "key 'margin' must be a finite number, got '1.5'"),
        (True, "key 'margin' must be a finite number, got True"),
        ([1.0], r"key 'margin' must be a finite number, got \[1.0\]"),
    ],
)
def test_a_margin_that_is_negative_or_no_finite_number_is_refused_with_its_row(margin: Any, message: str) -> None:
    _refused(message, prompt="Hi", chosen="a", rejected="b", margin=margin)


def test_scores_that_contradict_the_preference_are_refused_with_their_row() -> None:
    row = {"prompt": "Hi", "chosen": "a", "rejected": "b"}
    _refused(
        "key 'chosen_score' is 2 and 'rejected_score' 4.5; accepted: a chosen score that is not below",
        **row,
        chosen_score=2,
        rejected_score=4.5,
    )
    _refused("key 'score_chosen' is 1e", **row, score_chosen=1e300, score_rejected=-1e300)
    _refused(
        "key 'rejected_score' must be a finite number, got nan", **row, chosen_score=2, rejected_score=float("nan")
    )


def test_a_row_without_one_of_the_replies_is_refused() -> None:
    _refused("key 'rejected' is missing; the row has: prompt, chosen", prompt="Hi", chosen="a")
    _refused("key 'chosen' is missing", prompt="Hi", rejected="a")


def test_unknown_columns_are_refused_with_the_accepted_shapes() -> None:
    _refused(
        "no key 'chosen' or 'rejected', found: question, answer; accepted: prompt/chosen/rejected",
        question="a",
        answer="b",
    )


def test_identical_replies_are_refused_in_every_shape() -> None:
    _refused("chosen and rejected are identical", prompt="Hi", chosen="a", rejected=" a\n")
    _refused("chosen and rejected are identical", chosen=[USER, GOOD], rejected=[USER, GOOD])


def test_empty_texts_are_refused() -> None:
    _refused("empty reply", prompt="Hi", chosen="  ", rejected="a")
    _refused("empty reply", prompt="Hi", chosen="a", rejected="")
    _refused("empty prompt", prompt=" ", chosen="a", rejected="b")
    _refused("empty prompt", prompt=[], chosen="a", rejected="b")


@pytest.mark.parametrize("key", ["prompt", "chosen", "rejected"])
def test_wrong_types_are_refused_with_their_key(key: str) -> None:
    values = {"prompt": "Hi", "chosen": "a", "rejected": "b"}
    for wrong in (3, {"role": "user", "content": "Hi"}, ["Hi"]):
        _refused(f"key '{key}' must be text or a list of role/content messages", **{**values, key: wrong})
    _refused(rf"key '{key}\[0\].content' is missing", **{**values, key: [{"role": "user"}]})
    _refused(rf"key '{key}\[0\].content' must be text", **{**values, key: [{"role": "user", "content": None}]})


def test_an_unknown_role_is_refused_with_the_nearest() -> None:
    prompt = [{"role": "asistant", "content": "x"}]
    _refused(
        r"key 'prompt\[0\].role' is 'asistant'; did you mean 'assistant'\?", prompt=prompt, chosen="a", rejected="b"
    )


def test_a_prompt_that_ends_with_the_assistant_is_refused() -> None:
    _refused("the prompt does not end with a user message", prompt=[USER, GOOD], chosen="a", rejected="b")


def test_replies_of_several_messages_are_refused() -> None:
    tail = [GOOD, USER, BAD]
    _refused("'chosen' must be the prompt .* got assistant, user, assistant", prompt=[USER], chosen=tail, rejected="b")
    _refused("'chosen' must be the prompt .* got nothing", prompt=[USER], chosen=[USER], rejected="b")
    _refused("'rejected' must be the prompt", prompt="Hi", chosen="a", rejected=[{**USER, "content": "Ho"}, BAD])


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ([USER, GOOD], [{**USER, "content": "Ho"}, BAD]),
        ([USER, GOOD, USER, GOOD], [USER, BAD, USER, GOOD]),
        ([USER, GOOD, USER, BAD], [USER, GOOD]),
        ([GOOD], [BAD]),
        ([USER, USER], [USER, GOOD]),
    ],
)
def test_conversations_that_do_not_differ_in_one_reply_are_refused(chosen: list[Any], rejected: list[Any]) -> None:
    _refused("must share a prompt and then differ in one assistant message", chosen=chosen, rejected=rejected)


def test_plain_replies_without_a_prompt_are_refused() -> None:
    _refused("no key 'prompt', and 'chosen' is no conversation: 'Hello.'", chosen="Hello.", rejected="Go.")


def test_outside_strict_reading_a_pair_that_compares_nothing_is_dropped_with_its_reason() -> None:
    row = Row("f:1", {"prompt": "Hi", "chosen": "a", "rejected": "a"})
    assert pair_from_row(row) == Dropped("f:1", "chosen and rejected are identical")
