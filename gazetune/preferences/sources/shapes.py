"""The shapes that preference rows have in people's own files.

- `prompt` (text or messages), `chosen` and `rejected` (text or messages, with or without the prompt before the reply);
- the implicit prompt: `chosen` and `rejected` are whole conversations (messages, or one string with `Human:` and
  `Assistant:` turns as in HH-RLHF); what they share is the prompt, what remains is one assistant message each;
- in either form optionally how much better the chosen reply is: `margin`, or `chosen_score` and `rejected_score`.
"""

from __future__ import annotations

import re

from gazetune.errors import InputError, did_you_mean
from gazetune.preferences.grouping import prompt_group
from gazetune.preferences.pair import LARGEST_MARGIN, Message, PreferencePair
from gazetune.preferences.sources.registry import Dropped
from gazetune.preferences.sources.rows import Row, abbreviate_value

ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
"""Accepted spellings of roles, and the role each one means."""

ACCEPTED = "prompt/chosen/rejected, or chosen/rejected as whole conversations"
_SCORES = (("score_chosen", "score_rejected"), ("chosen_score", "rejected_score"))
_TURN = re.compile(r"\n\n(Human|Assistant):")


def pair_from_row(row: Row) -> PreferencePair | Dropped:
    """Return the pair of a row, or `Dropped` when its replies or prompt make no comparison.

    Raises
    ------
    InputError
        For a missing key, a wrong type or an unknown role.
    """
    if "chosen" not in row.values and "rejected" not in row.values:
        columns = ", ".join(map(str, row.values)) or "none"
        raise InputError(f"{row.origin}: no key 'chosen' or 'rejected', found: {columns}; accepted: {ACCEPTED}")
    chosen, rejected = row.get_value("chosen"), row.get_value("rejected")
    margin = _read_margin(row)
    if row.values.get("prompt") is None:
        return _pair_with_implicit_prompt(
            row.origin, _read_conversation(row, "chosen"), _read_conversation(row, "rejected"), margin
        )
    prompt = _read_prompt(row)
    return make_pair(
        row.origin,
        prompt,
        _read_reply(row, "chosen", chosen, prompt),
        _read_reply(row, "rejected", rejected, prompt),
        margin,
    )


def make_pair(
    origin: str,
    prompt: tuple[Message, ...],
    chosen: str,
    rejected: str,
    margin: float | None = None,
    group: str | None = None,
) -> PreferencePair | Dropped:
    """Return the pair, or why there is none: empty texts, identical replies, a prompt that does not end with the user.

    `group` defaults to that of the prompt.

    Examples
    --------
    >>> make_pair("a.jsonl:3", (Message("user", "Why?"),), chosen="So.", rejected=" So. ")
    Dropped(origin='a.jsonl:3', reason='chosen and rejected are identical')
    """
    if not chosen.strip() or not rejected.strip():
        return Dropped(origin, "empty reply")
    if chosen.strip() == rejected.strip():
        return Dropped(origin, "chosen and rejected are identical")
    if not any(message.content.strip() for message in prompt):
        return Dropped(origin, "empty prompt")
    if prompt[-1].role != "user":
        return Dropped(origin, "the prompt does not end with a user message")
    return PreferencePair(prompt, chosen, rejected, group or prompt_group(prompt), origin, margin)


def read_role(row: Row, key: str) -> str:
    """Return the role (system, user or assistant) that the text under `key` spells.

    Raises
    ------
    InputError
        For a spelling that is not in `ROLES`.
    """
    role = row.get_text(key)
    if role.lower() not in ROLES:
        raise InputError(f"{row.origin}: key '{key}' is {abbreviate_value(role)}; {did_you_mean(role, ROLES)}")
    return ROLES[role.lower()]


def split_turns(text: str, turn: re.Pattern[str] = _TURN) -> tuple[Message, ...]:
    r"""Split one string into messages at its turn markers (default: HH-RLHF's `Human:` and `Assistant:` paragraphs).

    `turn` has one group, the role. Text before the first marker is the user's first message, or dropped when blank.

    Examples
    --------
    >>> [(turn.role, turn.content) for turn in split_turns("\n\nHuman: Why?\n\nAssistant: So.")]
    [('user', 'Why?'), ('assistant', 'So.')]
    """
    first, *parts = turn.split(text)
    messages = [Message("user", first.strip())] if first.strip() else []
    for role, content in zip(parts[::2], parts[1::2], strict=True):
        messages.append(Message(ROLES[role.lower()], content.strip()))
    return tuple(messages)


def _pair_with_implicit_prompt(
    origin: str, chosen: tuple[Message, ...], rejected: tuple[Message, ...], margin: float | None
) -> PreferencePair | Dropped:
    if chosen == rejected:
        return Dropped(origin, "chosen and rejected are identical")
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    tails = chosen[shared:], rejected[shared:]
    if not shared or any([message.role for message in tail] != ["assistant"] for tail in tails):
        return Dropped(origin, "chosen and rejected must share a prompt and then differ in one assistant message")
    return make_pair(origin, chosen[:shared], tails[0][0].content, tails[1][0].content, margin)


def _read_conversation(row: Row, key: str) -> tuple[Message, ...]:
    value = row.values[key]
    if isinstance(value, str):
        text = "\n\n" + row.get_text(key).lstrip()
        if not text.startswith("\n\nHuman:"):
            raise InputError(
                f"{row.origin}: no key 'prompt', and '{key}' is no conversation: {abbreviate_value(value)}; "
                f"accepted: {ACCEPTED}"
            )
        return split_turns(text)
    return read_messages(row.origin, key, value)


def _read_prompt(row: Row) -> tuple[Message, ...]:
    value = row.values["prompt"]
    if not isinstance(value, str):
        return read_messages(row.origin, "prompt", value)
    text = row.get_text("prompt")
    if not text.startswith("\n\nHuman:"):
        return (Message("user", text),)
    messages = split_turns(text)
    # Such prompts end with the marker that the reply follows.
    return messages[:-1] if messages[-1] == Message("assistant", "") else messages


def _read_reply(row: Row, key: str, value: object, prompt: tuple[Message, ...]) -> str:
    if isinstance(value, str) and not value.startswith("\n\nHuman:"):
        return row.get_text(key)
    messages = _read_conversation(row, key)
    tail = messages[len(prompt) :] if messages[: len(prompt)] == prompt else messages
    if [message.role for message in tail] != ["assistant"]:
        roles = ", ".join(message.role for message in tail) or "nothing"
        raise InputError(f"{row.origin}: '{key}' must be the prompt (optional) and one assistant message, got {roles}")
    return tail[0].content


def read_messages(origin: str, key: str, value: object) -> tuple[Message, ...]:
    """Return the messages of a list of role/content mappings; `origin` and `key` name it in errors.

    Raises
    ------
    InputError
        For another type, a missing key or an unknown role.
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        got = f"{type(value).__name__} {abbreviate_value(value)}"
        raise InputError(f"{origin}: key '{key}' must be text or a list of role/content messages, got {got}")
    messages = []
    for index, item in enumerate(value):
        path = f"{key}[{index}]"
        message = Row(origin, {f"{path}.{name}": content for name, content in item.items()})
        messages.append(Message(read_role(message, f"{path}.role"), message.get_text(f"{path}.content")))
    return tuple(messages)


def _read_margin(row: Row) -> float | None:
    """Return what stands under `margin`, else the difference of the two scores, else None."""
    if row.values.get("margin") is not None:
        margin = row.get_number("margin")
        if not 0 <= margin <= LARGEST_MARGIN:
            raise InputError(
                f"{row.origin}: key 'margin' must be a number from 0 to {LARGEST_MARGIN:.2g}, got {margin:g}"
            )
        return margin
    for better, worse in _SCORES:
        if row.values.get(better) is not None or row.values.get(worse) is not None:
            margin = row.get_number(better) - row.get_number(worse)
            if not 0 <= margin <= LARGEST_MARGIN:
                raise InputError(
                    f"{row.origin}: key '{better}' is {row.values[better]} and '{worse}' {row.values[worse]}; "
                    f"accepted: a chosen score that is not below the rejected one (by at most {LARGEST_MARGIN:.2g})"
                )
            return margin
    return None
