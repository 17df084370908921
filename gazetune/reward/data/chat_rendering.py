"""What the chat template writes for a conversation, and where in it the contents of its messages stand.

The text is always the tokenizer's own `apply_chat_template` of these very messages. Where the contents stand in it is
found in three ways, of which the next is tried where the one before does not give that text:

    frame     the template is rendered once for each sequence of roles, around place holders, and contents are put in:
                  roles      user, assistant
                  rendered   <|user|>(0)<|end|><|assistant|>(1)<|end|>
                  frame      literals "<|user|>", "<|end|><|assistant|>", "<|end|>"; between them messages 0 and 1
    traced    a template may act on a content: strip a thinking block, cut it, write it twice (`content_tracing`)
    searched  a template that changes the letters themselves: words are looked for in their order
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from gazetune.preferences.pair import Message
from gazetune.preferences.sources.rows import RowError
from gazetune.reward.data.content_tracing import TemplateStrings, TracedText, search_contents, trace_contents

# White space on either side shows which sides the template strips; it is of a kind that no template writes itself.
_SPACE = "\N{FOUR-PER-EM SPACE}"
_HOLDER = re.compile(f"({_SPACE}?)\ue000(\\d+)\ue001({_SPACE}?)")
_LONGEST_REASON = 200
"""Characters of what a template says when it refuses a conversation, as rows are counted by it."""


class _Holder(NamedTuple):
    """Where the template has the content of a message."""

    message: int
    strips_left: bool
    strips_right: bool


class _Frame(NamedTuple):
    """What the template writes for a sequence of roles: `literals[0]`, the first content, `literals[1]`, and so on."""

    literals: list[str]
    holders: list[_Holder]


@dataclass(frozen=True, slots=True)
class RenderedChat:
    """A conversation as its template writes it."""

    text: str
    pieces: NDArray[np.int64]
    """[P, 4] in the order of the text: start and end in it, the message, and the character of it that begins there."""
    shown: dict[int, NDArray[np.bool_]] = field(default_factory=dict)
    """Messages that do not stand there whole: for each of their characters whether it does. White space counts not."""
    template_tokens: frozenset[str] = frozenset()
    """Special tokens that the template looks for in contents, and writes itself."""


@dataclass(slots=True)
class RenderingTally:
    """What was seen of the conversations that were rendered."""

    chats: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Conversations with a message of which the template writes nothing, by the role of that."""
    shown_in_part: Counter[str] = field(default_factory=Counter)
    """Conversations with a message of which the template writes a part, by the role of that."""
    without_reply: int = 0
    """Conversations of whose last message it writes nothing."""
    searched: int = 0
    """Conversations whose contents could only be found by looking for their words."""

    def count_chat(self, chat: Sequence[Message], rendered: RenderedChat) -> None:
        """Add one conversation."""
        self.chats += 1
        nothing = {message for message, visible in rendered.shown.items() if not visible.any()}
        self.left_out.update({chat[message].role for message in nothing})
        self.shown_in_part.update({chat[message].role for message in rendered.shown.keys() - nothing})
        self.without_reply += len(chat) - 1 in nothing

    def list_notes(self) -> dict[str, int]:
        """Return what a reader of the pairs would not expect, and of how many conversations it is true.

        Examples
        --------
        >>> RenderingTally(chats=8, left_out=Counter(system=3)).list_notes()
        {'the chat template leaves out system messages of conversations': 3}
        """
        notes = {f"leaves out {role} messages of conversations": count for role, count in self.left_out.items()}
        notes |= {f"writes {role} messages of conversations in part": n for role, n in self.shown_in_part.items()}
        notes["writes nothing of the last reply of conversations"] = self.without_reply
        notes["changes letters of conversations, where gaze is aligned by searching words"] = self.searched
        return {f"the chat template {note}": count for note, count in notes.items() if count}


class ChatRenderer:
    """Renders conversations with one tokenizer's template; remembers the frame for each sequence of roles."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self.tokenizer = tokenizer
        self.tally = RenderingTally()
        self._frames: dict[tuple[str, ...], _Frame | None] = {}
        self._strings: TemplateStrings | None = None

    def render_chats(self, chats: Sequence[Sequence[Message]], origins: Sequence[str]) -> list[RenderedChat]:
        """Return what the template writes for conversations; `origins` name their rows in errors.

        Raises
        ------
        RowError
            When the chat template refuses a conversation.
        """
        if not chats:
            return []
        turns = [[{"role": one.role, "content": one.content} for one in chat] for chat in chats]
        try:
            texts = cast("list[str]", self.tokenizer.apply_chat_template(turns, tokenize=False))
        except Exception:  # a template can raise anything; which conversation it was is found one by one
            texts = [self._render_or_refuse(one, origin) for one, origin in zip(turns, origins, strict=True)]
        return [self._locate_contents(chat, text) for chat, text in zip(chats, texts, strict=True)]

    def _render(self, contents: Sequence[str], roles: Sequence[str]) -> str:
        turns = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
        return str(self.tokenizer.apply_chat_template(turns, tokenize=False))

    def _render_or_refuse(self, turns: list[dict[str, str]], origin: str) -> str:
        try:
            return str(self.tokenizer.apply_chat_template(turns, tokenize=False))
        except Exception as error:
            raise describe_refusal(turns, origin, error) from error

    def _locate_contents(self, chat: Sequence[Message], text: str) -> RenderedChat:
        """Find the contents in what the template wrote for them."""
        roles = tuple(message.role for message in chat)
        if roles not in self._frames:
            self._frames[roles] = find_frame(lambda contents: self._render(contents, roles), len(roles))
        contents = [message.content for message in chat]
        frame = self._frames[roles]
        pieces = _fill_frame(frame, contents, text) if frame is not None else None
        if frame is not None and pieces is not None:
            held = {holder.message for holder in frame.holders}
            missing = [message for message in range(len(chat)) if message not in held]
            shown = {
                message: np.zeros(len(contents[message]), dtype=np.bool_)
                for message in missing
                if contents[message].strip()
            }
            found = RenderedChat(text, pieces, shown)
        else:
            traced = self._trace(contents, roles, text)
            found = RenderedChat(text, traced.pieces(), traced.shown(contents), traced.template_tokens)
        self.tally.count_chat(chat, found)
        return found

    def _trace(self, contents: Sequence[str], roles: Sequence[str], text: str) -> TracedText:
        if self._strings is None:
            self._strings = TemplateStrings.from_tokenizer(self.tokenizer)
        traced = trace_contents(lambda shadows: self._render(shadows, roles), contents, text, self._strings)
        if traced is None:
            self.tally.searched += 1
            traced = search_contents(contents, text)
        return traced


def describe_refusal(turns: Sequence[Mapping[str, str]], origin: str, error: Exception) -> RowError:
    """Return the error of a row whose conversation makes the chat template raise `error`."""
    said = next(iter(str(error).splitlines()), "") or type(error).__name__
    roles = ", ".join(turn["role"] for turn in turns)
    shown = f"the chat template refuses the roles {roles}: {said}"
    return RowError(origin, f"refused by the chat template: {said[:_LONGEST_REASON]}", shown=shown)


def find_frame(render: Callable[[Sequence[str]], str], messages: int) -> _Frame | None:
    """Return what the template writes around the contents of so many messages; None where it refuses place holders."""
    try:
        text = render([f"{_SPACE}\ue000{index}\ue001{_SPACE}" for index in range(messages)])
    except Exception:  # what real contents give counts
        return None
    literals: list[str] = []
    holders: list[_Holder] = []
    end = 0
    for found in _HOLDER.finditer(text):
        literals.append(text[end : found.start()])
        holders.append(_Holder(int(found[2]), strips_left=not found[1], strips_right=not found[3]))
        end = found.end()
    return _Frame([*literals, text[end:]], holders)


def _fill_frame(frame: _Frame, contents: Sequence[str], text: str) -> NDArray[np.int64] | None:
    """Return where the contents stand once they are put into the frame; None when that is not the text."""
    pieces: list[tuple[int, int, int, int]] = []
    parts = [frame.literals[0]]
    end = len(parts[0])
    for holder, literal in zip(frame.holders, frame.literals[1:], strict=True):
        content = contents[holder.message]
        shown = content.lstrip() if holder.strips_left else content
        stripped = len(content) - len(shown)
        shown = shown.rstrip() if holder.strips_right else shown
        if shown:
            pieces.append((end, end + len(shown), holder.message, stripped))
        parts += [shown, literal]
        end += len(shown) + len(literal)
    return np.asarray(pieces, dtype=np.int64).reshape(-1, 4) if "".join(parts) == text else None
