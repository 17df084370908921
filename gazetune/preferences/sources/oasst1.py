"""OpenAssistant/oasst1: trees of messages, the replies to one message ranked by people (arXiv 2304.07327).

Rank 0 is the most preferred reply. The public GazeReward code takes the largest rank as chosen; here it is the lowest,
unless `data.invert_oasst1` asks for the pairs of that code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from gazetune.errors import InputError
from gazetune.preferences.pair import Message, PreferencePair
from gazetune.preferences.sources.messages import read_role
from gazetune.preferences.sources.registry import Converter, Dropped, preference_source
from gazetune.preferences.sources.rows import Row
from gazetune.preferences.sources.shapes import make_pair


def invert_converter(convert: Converter) -> Converter:
    """Return a converter to the same pairs with the reply of the largest rank, the least preferred one, as chosen.

    So the public code of GazeReward (arXiv 2410.01532, at e7e7ec8) has them.
    """

    def inverted_pairs(rows: Iterable[Row]) -> Iterator[PreferencePair | Dropped]:
        for item in convert(rows):
            yield item if isinstance(item, Dropped) else replace(item, chosen=item.rejected, rejected=item.chosen)

    return inverted_pairs


def check_message(row: Row) -> None:
    """Raise for an English message that lacks what is read of one.

    Raises
    ------
    InputError
        For a missing column, a wrong type or an unknown role.
    """
    if row.get_value("lang") == "en" and not row.values.get("deleted"):
        for key in ("message_id", "message_tree_id", "text"):
            row.get_text(key)
        if row.has_value("parent_id"):
            row.get_text("parent_id")
        read_role(row, "role")
        _read_rank(row)


def single_prompt_pairs(rows: Iterable[Row]) -> Iterator[PreferencePair | Dropped]:
    """Yield pairs as the public code of GazeReward has them: the prompt is the message that is replied to, alone.

    Replies to messages of the same text are ranked together, whatever trees they stand in. Of replies with the same
    rank the first one counts as the best, and the last one as the worst.

    Raises
    ------
    InputError
        For a missing column or a wrong type.
    """
    kept, known = _keep_english(rows)
    ranked = _rank_replies(kept)
    yield from _list_orphans(kept, known)
    by_text: dict[str, list[tuple[float, Row]]] = {}
    origins: dict[str, str] = {}
    for question_id, question in kept.items():
        if question_id in ranked:
            origins.setdefault(question.get_text("text"), question.origin)
            by_text.setdefault(question.get_text("text"), []).extend(ranked[question_id])
    for text, replies in by_text.items():
        if len(replies) < 2:
            yield Dropped(origins[text], "single reply")
            continue
        (best_rank, best), *_, (worst_rank, worst) = sorted(replies, key=lambda reply: reply[0])
        if best_rank == worst_rank:
            yield Dropped(origins[text], "tie")
        else:
            prompt = (Message("user", text),)
            tree = best.get_text("message_tree_id")
            yield make_pair(best.origin, prompt, best.get_text("text"), worst.get_text("text"), group=tree)


@preference_source(
    "OpenAssistant/oasst1",
    columns=("message_id", "message_tree_id", "role", "text"),
    inverted=invert_converter,
    single=single_prompt_pairs,
    check=check_message,
)
def oasst1_pairs(rows: Iterable[Row]) -> Iterator[PreferencePair | Dropped]:
    """Yield for each prompter message its best ranked reply against its worst; ties give no pair.

    Only English messages that are not deleted count. The prompt is the path from the root of the tree; the group is the
    tree. There is no margin: ranks are an order, and the distance of first and last says only how many replies there
    were.

    Raises
    ------
    InputError
        For a missing column or a wrong type.
    """
    kept, known = _keep_english(rows)
    yield from _list_orphans(kept, known)
    for question_id, ranked in _rank_replies(kept).items():
        yield _compare_best_and_worst(kept, kept[question_id], ranked)


def _keep_english(rows: Iterable[Row]) -> tuple[dict[str, Row], set[str]]:
    """Return the English messages that are not deleted, by id, and the ids of all messages.

    Raises
    ------
    InputError
        If two different messages have one id.
    """
    kept: dict[str, Row] = {}
    known: set[str] = set()
    for row in rows:
        known.add(str(row.values.get("message_id")))
        if row.get_value("lang") != "en" or row.values.get("deleted"):
            continue
        name = row.get_text("message_id")
        before = kept.setdefault(name, row)
        for key in ("text", "parent_id", "role", "rank"):
            if before.values.get(key) != row.values.get(key) and (before.has_value(key) or row.has_value(key)):
                raise InputError(
                    f"{row.origin}: message_id: '{name}' is that of {before.origin} too, with another {key}; accepted: "
                    "each message once"
                )
    return kept, known


def _list_orphans(kept: dict[str, Row], known: set[str]) -> Iterator[Dropped]:
    """Yield a line for each message that two ranked replies or more name and that no row has."""
    replies: dict[str, list[Row]] = {}
    for row in kept.values():
        is_reply = read_role(row, "role") == "assistant" and row.has_value("parent_id")
        if is_reply and _read_rank(row) is not None and row.get_text("parent_id") not in known:
            replies.setdefault(row.get_text("parent_id"), []).append(row)
    for orphans in replies.values():
        if len(orphans) > 1:
            yield Dropped(orphans[0].origin, "no row has the message that is replied to")


def _rank_replies(kept: dict[str, Row]) -> dict[str, list[tuple[float, Row]]]:
    """Return the assistant's ranked replies, with their ranks, by the prompter's message that they reply to."""
    replies: dict[str, list[tuple[float, Row]]] = {}
    for row in kept.values():
        rank = _read_rank(row)
        question = kept.get(str(row.values.get("parent_id")))
        if rank is None or question is None:
            continue
        if read_role(question, "role") == "user" and read_role(row, "role") == "assistant":
            replies.setdefault(question.get_text("message_id"), []).append((rank, row))
    return replies


def _compare_best_and_worst(
    kept: dict[str, Row], question: Row, ranked: list[tuple[float, Row]]
) -> PreferencePair | Dropped:
    if len(ranked) < 2:
        return Dropped(question.origin, "single reply")
    (best_rank, best), (worst_rank, worst) = (pick(ranked, key=lambda reply: reply[0]) for pick in (min, max))
    if best_rank == worst_rank:
        return Dropped(question.origin, "tie")
    prompt = _path_to_root(kept, question)
    if prompt is None:
        return Dropped(question.origin, "incomplete path to the root")
    return make_pair(
        best.origin, prompt, best.get_text("text"), worst.get_text("text"), group=question.get_text("message_tree_id")
    )


def _path_to_root(kept: dict[str, Row], question: Row) -> tuple[Message, ...] | None:
    path: list[Message] = []
    seen: set[str] = set()
    row: Row | None = question
    while row is not None:
        # A message that is its own ancestor has no root.
        if row.get_text("message_id") in seen:
            return None
        seen.add(row.get_text("message_id"))
        path.append(Message(read_role(row, "role"), row.get_text("text")))
        if not row.has_value("parent_id"):
            return tuple(reversed(path))
        row = kept.get(str(row.values["parent_id"]))
    return None


def _read_rank(row: Row) -> float | None:
    return row.get_number("rank") if row.has_value("rank") else None
