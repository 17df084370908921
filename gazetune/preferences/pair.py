"""The preference pair: what every source yields and every later room takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """A prompt with a preferred and a less preferred assistant reply to it."""

    prompt: tuple[Message, ...]
    """The conversation up to the reply; its last message is the user's."""
    chosen: str
    rejected: str
    group: str
    """Pairs of one group (same prompt, or same conversation tree) never stand in two splits."""
    origin: str
    """`file:row` (rows counted from 1) or `planted:row`, for error lines."""
    margin: float | None = None
    """Difference of the two replies' scores where the source has scores."""

    def chat(self, reply: str) -> tuple[Message, ...]:
        """Return the prompt followed by `reply` as the assistant's message."""
        return (*self.prompt, Message("assistant", reply))
