from __future__ import annotations

import numpy as np

from gazetune.evaluate.length import shorter_baseline


def test_the_reply_with_fewer_words_is_preferred() -> None:
    scores = shorter_baseline(np.array([[1, 2], [3, 1], [3, 3]], dtype=np.int32))
    assert scores.tolist() == [1.0, 0.0, 0.5]
    assert scores.dtype == np.float64
