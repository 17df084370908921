"""Planted preference data: made from a seed, with a label rule and so a best reachable accuracy that are known.

Reply b is preferred to reply a with probability sigmoid(r(b) - r(a)), where the reward r adds up a weak text signal and
the means of two reading measures over the reply's words, FFD and TRT. The measures are those of the gaze predictor
`planted`: drawn from a hash of the text, so no text model can predict them. nFix, GPT and fixProp do not enter.

Put differently, a judge scores both replies, the difference of the scores is r(b) - r(a) plus logistic noise, and the
reply with the higher score is preferred. A pair's margin is that difference: noisy like the label, and never negative.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from gazetune.config import MEASURES
from gazetune.gaze.predictors.planted import PLANTED_MEAN, PLANTED_SD, planted_measures
from gazetune.preferences.grouping import prompt_group
from gazetune.preferences.pair import Message, PreferencePair
from gazetune.preferences.planted_words import ADJECTIVES, DEFINITE, HEDGING, NOUNS, VERBS

TERMS = ("text", *MEASURES)
"""What a reply is described by, in the order of `compute_reply_terms`."""

# Text alone reaches 0.65, text with one of the two measures 0.76, with both 0.88.
WEIGHTS = np.array([2.17, 0.0, 2.64, 0.0, 2.64, 0.0])
"""Weight of the standardised difference of each of `TERMS` in the logistic rule."""

_SENTENCES = 3
_MARKS = 2 * _SENTENCES
_WORDS = 24
_OPENERS = ("How does", "Why does", "When does", "Where does")
_SETS: dict[str, tuple[str, ...]] = {
    "text": ("text",),
    **{f"text+{name}": ("text", name) for name in MEASURES},
    "text+FFD+TRT": ("text", "FFD", "TRT"),
    "text+all": TERMS,
}


@dataclass(frozen=True)
class PlantedData:
    """Planted pairs and how well they can be told apart."""

    pairs: tuple[PreferencePair, ...]
    bayes: dict[str, float]
    """Best reachable accuracy by what is seen: text, text+nFix, ..., text+fixProp, text+FFD+TRT, text+all."""


def make_planted_data(pairs: int, seed: int) -> PlantedData:
    """Make planted pairs. A smaller number of pairs is the beginning of a larger one.

    Replies have 21 to 27 words in three sentences, prompts 7. Chosen is drawn from the rule's probability, so the label
    is noisy; the lengths of the replies have no part in it.
    """
    uniform = np.random.default_rng(seed).random((pairs, 2 * 8 * _SENTENCES + 6))
    prompts = [_make_prompt(row) for row in uniform[:, :5]]
    replies = [(_make_reply(row[5:29]), _make_reply(row[29:53])) for row in uniform]
    terms = np.array([[compute_reply_terms(reply, seed) for reply in both] for both in replies])
    lengths = np.array([[len(reply.split()) for reply in both] for both in replies])
    differences = (terms[:, 1] - terms[:, 0]) / np.sqrt(2)
    second_wins = uniform[:, 53] < expit(differences @ WEIGHTS)
    # Rounded, so that the last bit of a machine's arithmetic does not make them other data.
    margins = np.abs(differences @ WEIGHTS - logit(np.maximum(uniform[:, 53], 1e-9))).round(4)
    made = []
    for index, (prompt, (first, second)) in enumerate(zip(prompts, replies, strict=True)):
        messages = (Message("user", prompt),)
        chosen, rejected = (second, first) if second_wins[index] else (first, second)
        group, origin = prompt_group(messages), f"planted:{index + 1}"
        made.append(PreferencePair(messages, chosen, rejected, group, origin, float(margins[index])))
    return PlantedData(tuple(made), compute_bayes_accuracies(differences, lengths))


def compute_reply_terms(reply: str, seed: int) -> NDArray[np.float64]:
    """Return the terms of a reply, [6] in the order of `TERMS`: over replies (of 24 words) of mean 0 and variance 1.

    The text term counts definite less hedging adverbs; the others are means of the planted measures over the words.
    """
    words = [word.strip(".").lower() for word in reply.split()]
    score = sum((word in DEFINITE) - (word in HEDGING) for word in words)
    means = planted_measures(reply, seed).astype(np.float64).mean(axis=0)
    return np.append(score / np.sqrt(_MARKS), (means - PLANTED_MEAN) / PLANTED_SD * np.sqrt(_WORDS))


def compute_bayes_accuracies(differences: NDArray[np.float64], lengths: NDArray[np.int64]) -> dict[str, float]:
    """Return the best accuracy that a model can reach on these pairs, by the terms it sees.

    Averages max(p, 1 - p) over the pairs; p is the preference probability given the seen terms. The unseen ones are
    integrated out as Gaussians (they are means over some 24 words) by Gauss-Hermite quadrature.

    Parameters
    ----------
    differences
        [pairs, 6] differences of `compute_reply_terms`, over the square root of 2.
    lengths
        [pairs, 2] words of the two replies: the variance of a mean depends on them.
    """
    nodes, masses = np.polynomial.hermite_e.hermegauss(64)
    masses = masses / masses.sum()
    variance = (_WORDS / lengths).mean(axis=1)
    accuracies = {}
    for name, seen in _SETS.items():
        mask = np.array([term in seen for term in TERMS])
        known = differences[:, mask] @ WEIGHTS[mask]
        unknown = np.sqrt(variance * np.sum(WEIGHTS[~mask] ** 2))
        probability = expit(known[:, None] + unknown[:, None] * nodes) @ masses
        accuracies[name] = float(np.maximum(probability, 1 - probability).mean())
    return accuracies


def _pick_word(words: tuple[str, ...], uniform: float) -> str:
    return words[int(uniform * len(words))]


def _make_prompt(uniform: NDArray[np.float64]) -> str:
    opener, adjective, noun, verb, thing = (
        _pick_word(words, value)
        for words, value in zip((_OPENERS, ADJECTIVES, NOUNS, VERBS, NOUNS), uniform, strict=True)
    )
    return f"{opener} the {adjective} {noun} {verb} the {thing}?"


def _make_reply(uniform: NDArray[np.float64]) -> str:
    return " ".join(_make_sentence(values) for values in uniform.reshape(_SENTENCES, -1))


def _make_sentence(uniform: NDArray[np.float64]) -> str:
    """Return a sentence of 7, 8 or 9 words, always with two marked adverbs: length and text signal are independent."""
    kind = int(3 * uniform[0])
    marked = DEFINITE + HEDGING
    one, noun, first, verb, second, other, thing = (
        _pick_word(words, value)
        for words, value in zip((ADJECTIVES, NOUNS, marked, VERBS, marked, ADJECTIVES, NOUNS), uniform[1:], strict=True)
    )
    if kind == 0:
        return f"Most {noun}s {first} {verb} {second} {other} {thing}s."
    if kind == 1:
        return f"The {noun} {first} {verb}s the {second} {other} {thing}."
    return f"The {one} {noun} {first} {verb}s the {second} {other} {thing}."
