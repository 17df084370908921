"""The picture and the tables of what moved a reward."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gazetune.explain.explanation import ExplainedMessage, ExplainedReward, describe_shuffled
from gazetune.pictures.signed_map import SignedMap, SignedText

UNIT = "added to the reward"


def draw_explanation(model: str, explained: Sequence[ExplainedReward]) -> SignedMap:
    """Return the picture: each conversation a column, the words that gaze adds with in orange, the others in blue."""
    header, rows = tabulate_measures(explained)
    return SignedMap(
        title=f"What gaze adds to the rewards of {model}",
        unit=UNIT,
        columns=tuple(tuple(_signed_text(each, message) for message in each.messages) for each in explained),
        header=header,
        rows=rows,
        notes=list_sentences(explained),
    )


def tabulate_measures(explained: Sequence[ExplainedReward]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table: for each measure what its words add, and what the reward loses without it."""
    header = ["measure"]
    for each in explained:
        name = each.caption or "reward"
        header += [f"{name}: words add", f"{name}: lost without"]
    rows = []
    for at, feature in enumerate(explained[0].attribution.features):
        row = [feature]
        for each in explained:
            found = each.attribution
            row += [f"{found.units[:, at].sum():+.4f}", f"{found.left_out[feature]:+.4f}"]
        rows.append(row)
    return header, rows


def list_sentences(explained: Sequence[ExplainedReward]) -> list[str]:
    """Return in a sentence for each conversation what gaze gave it, and for a pair what that did to the margin."""
    sentences = []
    for each in explained:
        found = each.attribution
        name = f"{each.caption}: reward" if each.caption else "reward"
        told = f"{name} {found.reward:.4f}, {found.at_mean:.4f} with every measure at its mean: gaze adds "
        told += f"{found.reward - found.at_mean:+.4f} (the words explain all but {found.residual:+.4f})"
        if (shuffled := describe_shuffled(found)) is not None:
            told += (
                f"; with the measures of other words of the text {shuffled['mean']:.4f} (sd {shuffled['sd']:.4f}), "
                f"below the real reward in {shuffled['below']} of {shuffled['n']} draws"
            )
        sentences.append(told)
    if len(explained) == 2:
        chosen, rejected = (each.attribution for each in explained)
        sentences.append(
            f"margin {chosen.reward - rejected.reward:+.4f}, {chosen.at_mean - rejected.at_mean:+.4f} with every "
            "measure at its mean"
        )
    return sentences


def list_strongest_words(explained: ExplainedReward, count: int = 8) -> list[list[str]]:
    """Return rows of the words that move the reward most: word, role, what it adds, and how much of that by measure."""
    found = [
        (abs(float(effects.sum())), [word, message.role, f"{effects.sum():+.4f}", _list_effects(explained, effects)])
        for message in explained.messages
        for word, effects in zip(message.words, message.effects, strict=True)
    ]
    return [row for _, row in sorted(found, key=lambda each: -each[0])[:count]]


def _signed_text(explained: ExplainedReward, message: ExplainedMessage) -> SignedText:
    added = message.effects.sum(axis=1)
    caption = f"{message.role}: {added.sum():+.4f}"
    return SignedText(
        caption=f"{explained.caption}, {caption}" if explained.caption else caption,
        text=message.text,
        added=added,
        titles=[f"{each.sum():+.4f}: {_list_effects(explained, each)}" for each in message.effects],
    )


def _list_effects(explained: ExplainedReward, effects: NDArray[np.float64]) -> str:
    features = explained.attribution.features
    return ", ".join(f"{name} {value:+.4f}" for name, value in zip(features, effects, strict=True))
