"""Messages in the forms that files have: role and content, JSON text, parts, `Human:` and `Assistant:` turns."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Callable, Iterable, Mapping

from gazetune.errors import did_you_mean
from gazetune.preferences.pair import Message
from gazetune.preferences.sources.rows import Row, RowError, abbreviate_value

ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}
"""Accepted spellings of roles, and the role each one means."""

_MESSAGE_KEYS = (("role", "content"), ("from", "value"))
"""The names that a message's role and content have; the second ones are those of ShareGPT, which TRL reads too."""

_SEEN_BY_TEMPLATES = (
    "tool_calls",
    "tool_call_id",
    "function_call",
    "tools",
    "reasoning_content",
    "reasoning",
    "thinking",
    "images",
    "image",
    "videos",
    "video",
    "audios",
    "audio",
)
"""Keys of a message that some chat template writes, or that a model hears or sees, and that are not read here."""

_TURN = re.compile(r"\n\n(Human|Assistant):")
_LOOSE_TURN = re.compile(r"\n[^\S\n]*\n\s*(Human|Assistant):")
"""After an empty line with white space in it, as that of `\\r\\n` is."""
_LINE_TURN = re.compile(r"\n[^\S\n]*(Human|Assistant):")
_FIRST_TURN = re.compile(r"\ufeff?\s*(Human|Assistant):")
_MESSAGES_AS_TEXT = re.compile(r"\s*\[\s*(array\(\[)?\s*\{\s*['\"](role|content|from|value)['\"]\s*:")


def read_role(row: Row, key: str) -> str:
    """Return the role (system, user or assistant) that the text under `key` spells.

    Raises
    ------
    InputError
        For a spelling that is not in `ROLES`.
    """
    role = row.get_text(key)
    if role.lower() not in ROLES:
        shown = f"key '{key}' is {abbreviate_value(role)}; {did_you_mean(role, ROLES)}"
        raise RowError(row.origin, f"key '{key}' is no known role", shown=shown)
    return ROLES[role.lower()]


def read_messages(origin: str, key: str, value: object) -> tuple[Message, ...]:
    """Return the messages of a list of role/content mappings; `origin` and `key` name it in errors.

    Contents that are lists of parts are the texts of the parts one after another, as chat templates write them.

    Raises
    ------
    InputError
        For another type, a missing key, an unknown role, a part that is no text, and what a template would show of a
        message beside its content (tool calls, reasoning, images).

    Examples
    --------
    >>> parts = [{"type": "text", "text": "Why "}, {"type": "text", "text": "so?"}]
    >>> read_messages("a.jsonl:1", "prompt", [{"role": "user", "content": parts}])
    (Message(role='user', content='Why so?'),)
    """
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        got = f", got {type(value).__name__} {abbreviate_value(value)}"
        raise RowError(origin, f"key '{key}' must be text or a list of role/content messages", got)
    return tuple(_read_message(origin, f"{key}[{index}]", item) for index, item in enumerate(value))


def _read_message(origin: str, path: str, item: Mapping[str, object]) -> Message:
    message = Row(origin, {f"{path}.{name}": content for name, content in item.items()})
    sharegpt = "role" not in item and "from" in item
    role, content = (f"{path}.{name}" for name in _MESSAGE_KEYS[sharegpt])
    for name, other in zip(*_MESSAGE_KEYS, strict=True):
        if item.get(name) is not None and item.get(other) is not None and item[name] != item[other]:
            raise RowError(origin, f"keys '{path}.{name}' and '{path}.{other}' differ", "; accepted: one of both")
    for name in _SEEN_BY_TEMPLATES:
        if message.has_value(f"{path}.{name}"):
            raise RowError(origin, f"key '{path}.{name}' is not read", "; accepted: messages of role and text")
    return Message(read_role(message, role), _read_content(message, content))


def _read_content(message: Row, key: str) -> str:
    value = message.get_value(key)
    if not isinstance(value, list):
        return message.get_text(key)
    texts = []
    for index, part in enumerate(value):
        of_part = Row(message.origin, {f"{key}[{index}].text": part.get("text") if isinstance(part, dict) else None})
        if not isinstance(part, dict) or part.get("type", "text") != "text":
            got = f", got {abbreviate_value(part.get('type') if isinstance(part, dict) else part)}"
            raise RowError(message.origin, f"key '{key}[{index}]' must be a part of type 'text'", got)
        texts.append(of_part.get_text(f"{key}[{index}].text"))
    return "".join(texts)


def parse_messages_text(row: Row, key: str) -> object:
    """Return the value under `key`; where it is text that spells a list of messages, that list.

    Tables that were written without nested columns hold messages as JSON, or as Python prints them.

    Raises
    ------
    InputError
        For a text that begins as such a list and is none.

    Examples
    --------
    >>> parse_messages_text(Row("a:1", {"chosen": '[{"role": "user", "content": "Hi"}]'}), "chosen")
    [{'role': 'user', 'content': 'Hi'}]
    >>> parse_messages_text(Row("a:1", {"chosen": "[1, 2]"}), "chosen")
    '[1, 2]'
    """
    value = row.values[key]
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    parsed: object = None
    parsers: tuple[Callable[[str], object], ...] = (json.loads, ast.literal_eval)
    for parse in parsers:
        try:
            parsed = parse(value.strip())
            break
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    if _is_message(parsed) or (isinstance(parsed, list) and parsed and all(map(_is_message, parsed))):
        return parsed
    if _MESSAGES_AS_TEXT.match(value):
        got = f": {abbreviate_value(value)}; accepted: text, a list of messages, or such a list as JSON text"
        raise RowError(row.origin, f"key '{key}' begins as a list of messages and is none", got)
    return value


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and any(set(names) <= set(value) for names in _MESSAGE_KEYS)


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


def split_dialogue(text: str) -> tuple[Message, ...] | None:
    r"""Return the turns of a text that begins with `Human:` or `Assistant:`, None for any other text.

    Turns are paragraphs, as HH-RLHF has them. Where the roles do not take turns that way, empty lines with white space
    in them count too, and then single lines, if the roles take turns so. Of a text that begins with an empty line and
    has one paragraph with a marker, lines are not looked at: it says itself what a turn is.

    Examples
    --------
    >>> [(turn.role, turn.content) for turn in split_dialogue("Human: Why?\nAssistant: So.\nHuman: Ah.")]
    [('user', 'Why?'), ('assistant', 'So.'), ('user', 'Ah.')]
    >>> split_dialogue("He said:\n\nHuman: Why?") is None
    True
    """
    begin = _FIRST_TURN.match(text)
    if begin is None:
        return None
    marked = "\n\n" + text[begin.start(1) :]
    turns = split_turns(marked)
    if not _take_turns(turns):
        lines = len(turns) > 1 or not text.startswith("\n\n")
        looser = (split_turns(marked, turn) for turn in (_LOOSE_TURN, _LINE_TURN)[: 1 + lines])
        turns = next((each for each in looser if _take_turns(each)), turns)
    return turns if any(message.role == "user" for message in turns) else None


def has_later_turns(text: str) -> bool:
    """Tell whether a text that does not begin with a turn has turns of both roles further on."""
    return split_dialogue(text) is None and set(_TURN.findall(text)) == {"Human", "Assistant"}


def strip_reply_marker(text: str) -> str:
    r"""Return a reply without the `Assistant:` that it begins with.

    Examples
    --------
    >>> strip_reply_marker("\n\nAssistant: So.")
    'So.'
    """
    begin = _FIRST_TURN.match(text)
    return text[begin.end() :].strip() if begin is not None and begin[1] == "Assistant" else text


def _take_turns(messages: Iterable[Message]) -> bool:
    roles = [message.role for message in messages]
    return len(roles) > 1 and all(first != second for first, second in itertools.pairwise(roles))
