"""The shapes that preference rows have in people's own files.

- `prompt` (text or messages), `chosen` and `rejected` (text or messages, with or without the prompt before the reply);
  without `prompt`, `question` or `instruction` is it;
- the implicit prompt: `chosen` and `rejected` are whole conversations (messages, or one string with `Human:` and
  `Assistant:` turns as in HH-RLHF); what they share is the prompt, what remains is one assistant message each;
- in either form optionally `system`, the text of a system message before the prompt, and how much better the chosen
  reply is: `margin`, or `chosen_score` and `rejected_score`.
"""

from __future__ import annotations

from gazetune.preferences.grouping import prompt_group
from gazetune.preferences.pair import LARGEST_MARGIN, Message, PreferencePair
from gazetune.preferences.sources.messages import (
    parse_messages_text,
    read_messages,
    split_dialogue,
    strip_reply_marker,
)
from gazetune.preferences.sources.registry import Dropped
from gazetune.preferences.sources.rows import Row, RowError, abbreviate_value

ACCEPTED = "prompt/chosen/rejected, or chosen/rejected as whole conversations"
_OTHER_PROMPTS = ("question", "instruction")
"""What the prompt is called where there is no `prompt`."""
_PROMPT_PARTS = ("input", "context", "history")
"""What belongs to the prompt in files that call it `instruction` or `question`."""
_SYSTEM = ("system", "system_prompt", "system_message")
_SCORES = (("score_chosen", "score_rejected"), ("chosen_score", "rejected_score"))
READ_COLUMNS = frozenset(
    ("prompt", "chosen", "rejected", "margin", *_SYSTEM, *(name for pair in _SCORES for name in pair))
)
"""The columns that a pair may come from; `question` and `instruction` are read where there is no `prompt`."""


def pair_from_row(row: Row) -> PreferencePair | Dropped:
    """Return the pair of a row, or `Dropped` when its replies or prompt make no comparison.

    Raises
    ------
    InputError
        For a missing key, a wrong type or an unknown role.
    """
    if "chosen" not in row.values and "rejected" not in row.values:
        columns = ", ".join(map(str, row.values)) or "none"
        raise RowError(row.origin, "no key 'chosen' or 'rejected'", f", found: {columns}; accepted: {ACCEPTED}")
    row = Row(row.origin, {**row.values, **{key: row.get_value(key) for key in ("chosen", "rejected")}})
    margin = _read_margin(row)
    values = {key: parse_messages_text(row, key) for key in ("chosen", "rejected")}
    row = Row(row.origin, {**row.values, **values})
    key = find_prompt_column(row)
    if key is None:
        chosen, rejected = (_read_conversation(row, name) for name in ("chosen", "rejected"))
        return _pair_with_implicit_prompt(row, chosen, rejected, margin)
    prompt, marked = _read_prompt(row, key)
    whole = _longer_prompt(row, prompt)
    replies = [_read_reply(row, name, whole, marked) for name in ("chosen", "rejected")]
    return make_pair(row.origin, _with_system(row, whole), replies[0], replies[1], margin)


def find_prompt_column(row: Row) -> str | None:
    """Return the column that the prompt stands in, None where it is the beginning of the conversations.

    Raises
    ------
    InputError
        When several columns may be the prompt, or together make it.
    """
    if row.values.get("prompt") is not None and not _is_nan(row.values["prompt"]):
        return "prompt"
    chosen = row.values.get("chosen")
    if not isinstance(chosen, str) or split_dialogue(chosen) is not None:
        return None
    found = [key for key in _OTHER_PROMPTS if row.has_value(key)]
    if not found:
        return None
    parts = [*found, *(key for key in _PROMPT_PARTS if row.has_value(key))]
    if len(parts) > 1:
        shown = " and ".join(f"'{key}'" for key in parts)
        raise RowError(row.origin, f"no key 'prompt', and keys {shown}", "; accepted: the whole prompt under 'prompt'")
    return found[0]


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and value != value


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


def _pair_with_implicit_prompt(
    row: Row, chosen: tuple[Message, ...], rejected: tuple[Message, ...], margin: float | None
) -> PreferencePair | Dropped:
    if chosen == rejected:
        return Dropped(row.origin, "chosen and rejected are identical")
    shared = 0
    while shared < min(len(chosen), len(rejected)) and chosen[shared] == rejected[shared]:
        shared += 1
    tails = chosen[shared:], rejected[shared:]
    if not shared or any([message.role for message in tail] != ["assistant"] for tail in tails):
        return Dropped(row.origin, "chosen and rejected must share a prompt and then differ in one assistant message")
    prompt = _with_system(row, chosen[:shared])
    return make_pair(row.origin, prompt, tails[0][0].content, tails[1][0].content, margin)


def _read_conversation(row: Row, key: str) -> tuple[Message, ...]:
    value = row.values[key]
    if not isinstance(value, str):
        return read_messages(row.origin, key, value)
    messages = split_dialogue(row.get_text(key))
    if messages is None or messages[0].role != "user":
        got = f": {abbreviate_value(value)}; accepted: {ACCEPTED}"
        raise RowError(row.origin, f"no key 'prompt', and '{key}' is no conversation", got)
    return messages


def _read_prompt(row: Row, key: str) -> tuple[tuple[Message, ...], bool]:
    """Return the prompt, and whether its turns were marked in a text."""
    value = parse_messages_text(row, key)
    if not isinstance(value, str):
        return read_messages(row.origin, key, value), False
    text = row.get_text(key)
    messages = split_dialogue(text)
    if messages is None:
        return (Message("user", text),), False
    # Such prompts end with the marker that the reply follows.
    return (messages[:-1] if messages[-1] == Message("assistant", "") else messages), True


def _longer_prompt(row: Row, prompt: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return what both replies have before their last message, where they are messages and that ends with `prompt`.

    So do data sets whose `prompt` is the last question of the conversations in `chosen` and `rejected`.
    """
    values = [row.values[key] for key in ("chosen", "rejected")]
    if not all(isinstance(value, list) and len(value) > len(prompt) for value in values):
        return prompt
    first, second = (read_messages(row.origin, key, row.values[key])[:-1] for key in ("chosen", "rejected"))
    return first if first == second and first[-len(prompt) :] == prompt and prompt else prompt


def _read_reply(row: Row, key: str, prompt: tuple[Message, ...], marked: bool) -> str:
    """Return the reply under `key`; `marked` tells whether the prompt had marked turns."""
    value = row.values[key]
    if isinstance(value, str):
        text = row.get_text(key)
        turns = split_dialogue(text) or ()
        whole = text.startswith("\n\nHuman:") or (len(turns) > 1 and turns[0].role == "user")
        if not whole:
            return strip_reply_marker(text) if marked or text.startswith("\n\nAssistant:") else text
    messages = _read_conversation(row, key)
    tail = messages[len(prompt) :] if messages[: len(prompt)] == prompt else messages
    if [message.role for message in tail] != ["assistant"]:
        roles = ", ".join(message.role for message in tail) or "nothing"
        expected = f"'{key}' must be the prompt (optional) and one assistant message"
        raise RowError(row.origin, expected, f", got {roles}")
    return tail[0].content


def _with_system(row: Row, prompt: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the prompt after the system message that a column has; one that the prompt has already must be the same.

    Raises
    ------
    InputError
        When two system messages differ.
    """
    found = {key: row.get_text(key) for key in _SYSTEM if row.has_value(key)}
    for message in prompt:
        if message.role == "system":
            found["prompt"] = message.content
    if not found:
        return prompt
    (first, text), *others = found.items()
    for key, other in others:
        if other.strip() != text.strip():
            shown = f": {abbreviate_value(text)} and {abbreviate_value(other)}; accepted: one system message"
            raise RowError(row.origin, f"the system messages of '{first}' and '{key}' differ", shown)
    return prompt if "prompt" in found else (Message("system", text), *prompt)


def _read_margin(row: Row) -> float | None:
    """Return what stands under `margin`, else the difference of the two scores, else None."""
    if row.values.get("margin") is not None:
        margin = row.get_number("margin")
        if not 0 <= margin <= LARGEST_MARGIN:
            expected = f"key 'margin' must be a number from 0 to {LARGEST_MARGIN:.2g}"
            raise RowError(row.origin, expected, f", got {margin:g}")
        return margin
    margins: dict[str, float] = {}
    for better, worse in _SCORES:
        if row.values.get(better) is not None or row.values.get(worse) is not None:
            margin = row.get_number(better) - row.get_number(worse)
            if not 0 <= margin <= LARGEST_MARGIN:
                raise RowError(
                    row.origin,
                    f"key '{better}' is below '{worse}'",
                    shown=f"key '{better}' is {row.values[better]} and '{worse}' {row.values[worse]}; "
                    f"accepted: a chosen score that is not below the rejected one (by at most {LARGEST_MARGIN:.2g})",
                )
            margins[better] = margin
    if len(set(margins.values())) > 1:
        names = " and ".join(f"'{name}'" for name in margins)
        raise RowError(row.origin, f"keys {names} give different margins", "; accepted: one of them")
    return next(iter(margins.values()), None)
