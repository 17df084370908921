"""The predictor `planted`: measures drawn from a hash of the text, so that what they carry is known exactly.

The five measures of a word are independent of each other, of the word and of every other word. Planted labels depend
on FFD and TRT, and because nothing else correlates with these two, the best feature mask is known: FFD and TRT. Real
measures are coupled (FFD <= TRT, FFD <= GPT); that is not enforced here, because it would leak FFD into the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.predictors.registry import gaze_predictor
from gazetune.gaze.words import word_spans

_VARIATION = 0.45
_LOG_VARIANCE = float(np.log1p(_VARIATION**2))

PLANTED_MEAN = np.array([15.0, 3.2, 6.3, 5.3, 67.0])
"""Exact mean of each planted measure, in the order of `MEASURES` and in its units."""

# fixProp is a percentage: 100 * U**power lies in (0, 100) and has its mean at 100 / (1 + power).
_FIXPROP_POWER = 100.0 / PLANTED_MEAN[4] - 1.0
_FIXPROP_SD = float(np.sqrt(1e4 / (1.0 + 2.0 * _FIXPROP_POWER) - PLANTED_MEAN[4] ** 2))

PLANTED_SD = np.append(_VARIATION * PLANTED_MEAN[:4], _FIXPROP_SD)
"""Exact standard deviation of each planted measure over words, in the order of `MEASURES` and in its units."""


def planted_measures(text: str, seed: int) -> NDArray[np.float32]:
    """Return the planted measures of each word of a text, [words, 5].

    nFix, FFD, GPT and TRT are log-normal, fixProp is a power of a uniform draw; their means and standard deviations
    are `PLANTED_MEAN` and `PLANTED_SD`. The values of word i depend on the seed, the text and i alone. All five are
    mutually independent (see the module's docstring).
    """
    return _draw_measures(text, seed, len(word_spans(text)))


def _draw_measures(text: str, seed: int, words: int) -> NDArray[np.float32]:
    digest = hashlib.sha256(f"{seed}\n".encode() + text.encode("utf-8", "surrogatepass")).digest()
    bits = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(words * 5).reshape(words, 5)
    # The middle of each of 2**53 equal cells: strictly between 0 and 1, so that the normal quantile is finite.
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    values = np.empty((words, 5), dtype=np.float32)
    values[:, :4] = PLANTED_MEAN[:4] * np.exp(np.sqrt(_LOG_VARIANCE) * ndtri(uniform[:, :4]) - _LOG_VARIANCE / 2)
    values[:, 4] = 100.0 * uniform[:, 4] ** _FIXPROP_POWER
    return values


class PlantedPredictor:
    """Planted measures of any text under one seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    @property
    def fingerprint(self) -> str:
        """Name and seed; the trailing number counts versions of the drawing rule."""
        return f"planted-seed{self._seed}-1"

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        """Return the planted measures of each text; its units are its words."""
        result = []
        for text in texts:
            spans = word_spans(text)
            words = np.arange(len(spans), dtype=np.int32)
            result.append(TextGaze(spans, _draw_measures(text, self._seed, len(spans)), words))
        return result


@gaze_predictor("planted")
def create_planted(config: Config) -> PlantedPredictor:
    """Build the predictor from `data.seed`, the seed that the planted labels are made from too."""
    if config.gaze.path is not None:
        raise InputError(f"gaze.path: gaze.predictor 'planted' reads no file, but '{config.gaze.path}' is set")
    return PlantedPredictor(config.data.seed)
