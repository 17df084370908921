"""nvidia/HelpSteer2: two or more replies to a prompt, each with a helpfulness from 0 to 4 (arXiv 2406.08673)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from gazetune.preferences.pair import Message, PreferencePair
from gazetune.preferences.sources.messages import split_turns
from gazetune.preferences.sources.registry import Dropped, preference_source
from gazetune.preferences.sources.rows import Row
from gazetune.preferences.sources.shapes import make_pair

# Prompts of several turns are one string: the first user turn, then marked turns.
_TURN = re.compile(r"\s*<extra_id_1>(User|Assistant)\n")


def _read_reply(row: Row) -> tuple[str, tuple[float, str, str]]:
    """Return the prompt, and the reply to it: its helpfulness, its text, and where it stands."""
    return row.get_text("prompt"), (row.get_number("helpfulness"), row.get_text("response"), row.origin)


def single_prompt_pairs(rows: Iterable[Row]) -> Iterator[PreferencePair | Dropped]:
    """Yield the pairs of `helpsteer2_pairs` with the whole prompt, its marks of turns included, as one message.

    So the public code of GazeReward (arXiv 2410.01532, at e7e7ec8) has them.
    """
    return _compare_replies(rows, lambda prompt: (Message("user", prompt),))


@preference_source(
    "nvidia/HelpSteer2",
    columns=("prompt", "response", "helpfulness"),
    single=single_prompt_pairs,
    check=_read_reply,
)
def helpsteer2_pairs(rows: Iterable[Row]) -> Iterator[PreferencePair | Dropped]:
    """Yield for each prompt its most helpful reply against the second; ties give no pair.

    The margin is the difference in helpfulness.

    Raises
    ------
    InputError
        For a missing column or a wrong type.
    """
    return _compare_replies(rows, lambda prompt: split_turns(prompt, _TURN))


def _compare_replies(
    rows: Iterable[Row], read_prompt: Callable[[str], tuple[Message, ...]]
) -> Iterator[PreferencePair | Dropped]:
    replies: dict[str, list[tuple[float, str, str]]] = {}
    for row in rows:
        prompt, reply = _read_reply(row)
        replies.setdefault(prompt, []).append(reply)
    for prompt, scored in replies.items():
        if len(scored) < 2:
            yield Dropped(scored[0][2], "single reply")
            continue
        # Sorting is stable: of replies with the same score the earlier row stands first.
        top, second = sorted(scored, key=lambda reply: -reply[0])[:2]
        if top[0] == second[0]:
            yield Dropped(top[2], "tie")
        else:
            yield make_pair(top[2], read_prompt(prompt), top[1], second[1], margin=top[0] - second[0])
