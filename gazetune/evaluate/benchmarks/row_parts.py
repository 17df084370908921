"""Parts of a benchmark's row: a prompt as text or as messages, one reply or a list of replies."""

from __future__ import annotations

from gazetune.preferences.pair import Message
from gazetune.preferences.sources.messages import read_messages
from gazetune.preferences.sources.rows import Row, RowError, abbreviate_value


def read_prompt(row: Row, key: str) -> tuple[Message, ...]:
    """Return what the user asked: a text is one message, a list is a conversation that ends with the user.

    Raises
    ------
    RowError
        When it is neither, or ends otherwise.
    """
    value = row.get_value(key)
    if not isinstance(value, list):
        return (Message("user", row.get_text(key)),)
    messages = read_messages(row.origin, key, value)
    if not messages or messages[-1].role != "user":
        raise RowError(row.origin, f"key '{key}' does not end with the user's message")
    return messages


def read_replies(row: Row, key: str, count: int | None = None) -> tuple[str, ...]:
    """Return the replies under a key, a list of texts with at least one, or of exactly `count`.

    Raises
    ------
    RowError
        When it is none.
    """
    value = row.get_value(key)
    if not isinstance(value, list) or not value or not all(isinstance(each, str) for each in value):
        raise RowError(row.origin, f"key '{key}' must be a list of texts", f", got {abbreviate_value(value)}")
    if count is not None and len(value) != count:
        raise RowError(row.origin, f"key '{key}' must be a list of {count} texts", f", got {len(value)}")
    return tuple(Row(row.origin, {key: each}).get_text(key) for each in value)


def read_id(row: Row, key: str) -> str:
    """Return the row's id, a text or a number, as text; its origin where the row has none."""
    return str(row.values[key]) if row.has_value(key) else row.origin
