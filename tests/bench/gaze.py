"""How fast the gaze room is, on one core.

    python -m tests.bench.gaze [--json]

Each figure is a median over repeats; the repeats of all measurements take turns, so that a busy spell of the machine
meets all of them. Nothing is asserted.
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # before numpy starts its threads
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import itertools
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gazetune.gaze import lexical_features
from gazetune.gaze.alignment import align_units
from gazetune.gaze.measures import FlatGaze, TextGaze
from gazetune.gaze.predictors.lexical import LexicalPredictor
from gazetune.gaze.store.gaze_store import GazeStore
from gazetune.gaze.store.part import KEY, write_part
from gazetune.gaze.words import text_key, word_spans

REPEATS = 15
LETTERS = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
STORE_TEXTS = 4096
BATCH_TEXTS = 16
UNITS = 500
INDEX_TEXTS = 1_000_000
INDEX_PART_TEXTS = 2048


def made_up_texts(generator: np.random.Generator, texts: int, words: int) -> list[str]:
    """Return texts of words whose lengths and repetition are about those of English prose (Zipf's law)."""
    lengths = np.clip(generator.poisson(3.7, 20_000) + 1, 1, 15)
    lexicon = ["".join(generator.choice(LETTERS, length)) for length in lengths]
    weights = 1.0 / (np.arange(len(lexicon)) + 2.7)
    drawn = generator.choice(len(lexicon), (texts, words), p=weights / weights.sum())
    marks = generator.choice(["", "", "", "", "", "", "", "", ",", "."], (texts, words))
    return [
        " ".join(lexicon[w] + m for w, m in zip(row, mark, strict=True)) for row, mark in zip(drawn, marks, strict=True)
    ]


def token_spans(text: str, generator: np.random.Generator) -> NDArray[np.int64]:
    """Return spans like those of a byte-level BPE: pieces of about four characters, the space before a word in them."""
    spans = []
    for start, end in word_spans(text).tolist():
        inner = np.arange(start + 4, end, int(generator.integers(3, 6)))
        edges = [max(start - 1, 0), *inner.tolist(), end]
        spans.extend(itertools.pairwise(edges))
    return np.array(spans, dtype=np.int64)


def lexical_run(generator: np.random.Generator) -> tuple[int, Callable[[], object]]:
    """Return the number of words and a run that predicts them with nothing remembered of earlier runs."""
    texts = made_up_texts(generator, 100, 200)
    predictor = LexicalPredictor()

    def run() -> object:
        lexical_features.describe_word.cache_clear()
        return predictor.predict(texts)

    return 100 * 200, run


def alignment_run(generator: np.random.Generator, tokens: int) -> Callable[[], object]:
    """Return a run that aligns the words of one text to its `tokens` tokens."""
    (text,) = made_up_texts(generator, 1, tokens)
    spans, words = token_spans(text, generator)[:tokens], word_spans(text)
    words = words[words[:, 0] < spans[-1, 1]]
    return lambda: align_units(spans, words, "spread")


def store_run(generator: np.random.Generator, root: Path) -> Callable[[], object]:
    """Return a run that reads 16 random texts of 500 units each, by key, from a store of 4,096 texts in two parts."""
    texts = sorted((f"text {number}" for number in range(STORE_TEXTS)), key=text_key)
    starts = np.arange(UNITS, dtype=np.int32) * 6
    spans, words = np.stack([starts, starts + 5], axis=1), np.arange(UNITS, dtype=np.int32)
    for number in range(2):
        half = texts[number * STORE_TEXTS // 2 :][: STORE_TEXTS // 2]
        values = generator.random((len(half), UNITS, 5), dtype=np.float32)
        gaze = FlatGaze.from_texts([TextGaze(spans, each, words) for each in values])
        write_part(root, number, [text_key(text) for text in half], gaze)
    store = GazeStore.open(root)
    keys = np.array([text_key(text) for text in texts], dtype=KEY)
    return lambda: store.gather_rows(store.find_keys(keys[generator.integers(0, STORE_TEXTS, BATCH_TEXTS)]))


def index_costs(root: Path) -> dict[str, float]:
    """Return what a store of a million short texts costs: bytes of Python and numpy a text, of memory, milliseconds.

    The first counts what the process allocates to open it, the second the growth of its resident memory, mapped pages
    included, the third finding a batch of 16 texts in its parts, which are cut as a build cuts them.
    """
    import tracemalloc

    import psutil

    empty = TextGaze(np.array([[0, 1]], np.int32), np.zeros((1, 5), np.float32), np.zeros(1, np.int32))
    keys = sorted(text_key(str(number)) for number in range(INDEX_TEXTS))
    for number, start in enumerate(range(0, INDEX_TEXTS, INDEX_PART_TEXTS)):
        cut = keys[start : start + INDEX_PART_TEXTS]
        write_part(root, number, cut, FlatGaze.from_texts([empty] * len(cut)))
    del keys
    process = psutil.Process()
    before = process.memory_info().rss
    tracemalloc.start()
    store = GazeStore.open(root)
    store.find_rows([str(number) for number in range(0, INDEX_TEXTS, 1000)])
    allocated = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    resident = process.memory_info().rss - before
    batch = [str(number) for number in range(0, INDEX_TEXTS, INDEX_TEXTS // BATCH_TEXTS)]
    found = seconds({"find": (50, lambda: store.find_rows(batch))})["find"]
    return {"allocated": allocated / len(store), "resident": resident / len(store), "milliseconds": 1000 * found}


def seconds(runs: dict[str, tuple[int, Callable[[], object]]]) -> dict[str, float]:
    """Return the median seconds of one call of each run; its count is the calls of one repeat."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run[1]()
    for _ in range(REPEATS):
        for name, (calls, run) in runs.items():
            start = time.perf_counter()
            for _ in range(calls):
                run()
            taken[name].append((time.perf_counter() - start) / calls)
    return {name: statistics.median(each) for name, each in taken.items()}


def measure() -> dict[str, object]:
    """Measure everything and return the figures with their conditions."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as small, tempfile.TemporaryDirectory() as large:
        index = index_costs(Path(large))
        words, lexical = lexical_run(generator)
        short, long = alignment_run(generator, 512), alignment_run(generator, 2048)
        store = store_run(generator, Path(small))
        found = seconds({"lexical": (1, lexical), "512": (40, short), "2048": (10, long), "store": (50, store)})
    return {
        "conditions": {
            "machine": platform.processor() or platform.machine(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "cores_used": 1,
            "load_average": os.getloadavg()[0],
            "repeats": REPEATS,
            "lexical_words": words,
            "alignment_tokens": [512, 2048],
            "store_batch": f"{BATCH_TEXTS} texts of {UNITS} units of {STORE_TEXTS}, warm page cache",
            "store_index_texts": INDEX_TEXTS,
        },
        "lexical_words_per_second": round(words / found["lexical"]),
        "alignment_tokens_per_minute": round(60 * 512 / found["512"]),
        "alignment_cost_2048_over_512": round(found["2048"] / found["512"], 2),
        "store_batch_ms": round(1000 * found["store"], 3),
        "store_index_bytes_per_text": round(index["allocated"], 2),
        "store_resident_bytes_per_text": round(index["resident"], 1),
        "store_index_find_ms": round(index["milliseconds"], 3),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.gaze", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    as_json = parser.parse_args().json
    figures = measure()
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
