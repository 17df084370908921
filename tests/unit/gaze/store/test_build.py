from __future__ import annotations

import logging
import random
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import pytest

from gazetune.errors import InputError
from gazetune.gaze.measures import FlatGaze, TextGaze
from gazetune.gaze.predictors.planted import PlantedPredictor, planted_measures
from gazetune.gaze.store.build import Batches, PredictBatches, build_store, predict_flat
from gazetune.gaze.store.gaze_store import GazeStore

TEXTS = [f"text {number} has " + "many " * (number % 7) + "words" for number in range(5000)] + [""]


class CountingPredictor(PlantedPredictor):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(0)
        self.asked: list[str] = []

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        self.asked.extend(texts)
        return super().predict(texts)


def parts_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.arrow"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> GazeStore:
    return build_store(TEXTS, PlantedPredictor(0), tmp_path_factory.mktemp("gaze"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in parts_of(folder)}


def in_any_order(seed: int, fails_after: int | None = None) -> PredictBatches:
    """Predict batches in random order, as several processes would, and perhaps not all of them."""

    def predict(batches: Batches) -> Generator[tuple[int, FlatGaze], None, None]:
        order = list(range(len(batches)))
        random.Random(seed).shuffle(order)
        for count, place in enumerate(order):
            if count == fails_after:
                raise RuntimeError("the end")
            yield place, predict_flat(PlantedPredictor(0), batches[place])

    return predict


def test_parts_are_cuts_of_the_sorted_keys(undisturbed: GazeStore) -> None:
    keys = np.concatenate([part.keys for part in undisturbed.parts])
    assert (keys[:-1] < keys[1:]).all()
    assert [len(part.keys) for part in undisturbed.parts] == [2048, 2048, 905]
    assert [path.name[:10] for path in parts_of(undisturbed.folder)] == ["part-00000", "part-00001", "part-00002"]


def test_the_order_in_which_batches_come_does_not_matter(undisturbed: GazeStore, tmp_path: Path) -> None:
    store = build_store(reversed(TEXTS), PlantedPredictor(0), tmp_path, predict=in_any_order(0))
    assert contents(store.folder) == contents(undisturbed.folder)


@pytest.mark.parametrize("seed", range(4))
def test_a_build_that_stopped_anywhere_goes_on_to_the_same_parts(
    seed: int, undisturbed: GazeStore, tmp_path: Path
) -> None:
    whole = contents(undisturbed.folder)
    for stops in (12, 8, 5):  # of 20 batches, then of those that are left
        with pytest.raises(RuntimeError, match="the end"):
            build_store(TEXTS, PlantedPredictor(0), tmp_path, predict=in_any_order(seed, stops))
        finished = contents(tmp_path / undisturbed.fingerprint)
        assert finished.items() <= whole.items()
    predictor = CountingPredictor()
    store = build_store(TEXTS, predictor, tmp_path)
    sizes = dict(zip(whole, (len(part.keys) for part in undisturbed.parts), strict=True))
    assert len(predictor.asked) == len(TEXTS) - sum(sizes[name] for name in finished)
    assert contents(store.folder) == whole


def test_after_a_stop_other_texts_may_be_asked_for_and_none_is_kept_twice(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the end"):
        build_store(TEXTS, PlantedPredictor(0), tmp_path, predict=in_any_order(1, 18))
    build_store([*TEXTS[:3000], *(f"other {number}" for number in range(3000))], PlantedPredictor(0), tmp_path)
    store = build_store(TEXTS, PlantedPredictor(0), tmp_path)
    keys = np.concatenate([part.keys for part in store.parts])
    assert len(np.unique(keys)) == len(keys) == len(TEXTS) + 3000
    assert len({path.name[:10] for path in parts_of(store.folder)}) == len(store.parts)


def test_texts_in_the_store_are_not_predicted_again_and_keep_their_rows(tmp_path: Path) -> None:
    predictor = CountingPredictor()
    first = build_store(TEXTS[:10], predictor, tmp_path)
    before = first.find_rows(TEXTS[:10])
    steps: list[tuple[int, int]] = []
    grown = build_store(reversed(TEXTS[:1000] * 2), predictor, tmp_path, lambda *step: steps.append(step))
    assert sorted(predictor.asked) == sorted(TEXTS[:1000])
    assert np.array_equal(grown.find_rows(TEXTS[:10]), before)
    assert np.array_equal(GazeStore.open(grown.folder).find_rows(TEXTS[:1000]), grown.find_rows(TEXTS[:1000]))
    assert steps[0] == (10, 1000)
    assert steps[-1] == (1000, 1000)
    assert np.array_equal(first.read_text(int(before[3])).values, planted_measures(TEXTS[3], 0))


def test_nothing_to_store_is_an_empty_store(tmp_path: Path) -> None:
    store = build_store([], PlantedPredictor(0), tmp_path)
    assert len(store) == 0
    assert len(store.gather_rows([]).values) == 0
    with pytest.raises(InputError, match="not in the store"):
        store.find_rows(["a"])


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_damaged_parts_are_named_and_rebuilt_as_they_were(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = build_store(TEXTS, PlantedPredictor(0), tmp_path).folder
    whole = contents(folder)
    first, middle, _ = parts_of(folder)
    for path in (first, middle):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    with pytest.raises(InputError, match=f"{first.name}: corrupt or truncated"):
        GazeStore.open(folder)
    predictor = CountingPredictor()
    caplog.set_level(logging.WARNING)
    build_store(TEXTS, predictor, tmp_path)
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [str(first), str(middle)]
    assert len(predictor.asked) == 2 * 2048
    assert contents(folder) == whole


SLOW_BUILD = """
import sys, time
from pathlib import Path
from gazetune.gaze.predictors.planted import PlantedPredictor
from gazetune.gaze.store.build import build_store

class Slow(PlantedPredictor):
    def predict(self, texts):
        time.sleep(0.05)
        return super().predict(texts)

texts = Path(sys.argv[1]).read_text().splitlines()
build_store(texts, Slow(0), Path(sys.argv[2]), lambda done, total: print(done, flush=True))
"""


def start_slow_build(tmp_path: Path, texts: list[str]) -> subprocess.Popen[str]:
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    command = [sys.executable, "-c", SLOW_BUILD, str(tmp_path / "texts.txt"), str(tmp_path / "store")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_killed_build_goes_on_from_its_finished_parts(tmp_path: Path) -> None:
    build = start_slow_build(tmp_path, TEXTS[:5000])
    assert build.stdout is not None
    while int(build.stdout.readline()) < 2500:
        pass
    build.send_signal(signal.SIGKILL)
    build.wait()
    folder = tmp_path / "store" / PlantedPredictor(0).fingerprint
    (folder / ".unfinished-1").write_bytes(b"half a part")
    assert len(GazeStore.open(folder)) == 2048
    predictor = CountingPredictor()
    store = build_store(TEXTS[:5000], predictor, tmp_path / "store")
    assert len(predictor.asked) == 5000 - 2048
    assert len(store) == 5000
    assert not list(folder.glob(".unfinished*"))


def test_processes_that_build_at_once_share_the_work(tmp_path: Path) -> None:
    builds = [start_slow_build(tmp_path, TEXTS[:3000]) for _ in range(3)]
    outputs = [build.communicate(timeout=60)[0].split() for build in builds]
    assert [build.returncode for build in builds] == [0, 0, 0]
    assert sorted(output[0] for output in outputs) == ["0", "3000", "3000"]
    store = GazeStore.open(tmp_path / "store" / PlantedPredictor(0).fingerprint)
    assert len(store) == 3000
    assert len(store.parts) == 2


def test_other_seeds_have_a_store_of_their_own(undisturbed: GazeStore) -> None:
    other = build_store(TEXTS[:1], PlantedPredictor(1), undisturbed.folder.parent)
    assert other.fingerprint == PlantedPredictor(1).fingerprint != undisturbed.fingerprint
    assert np.array_equal(other.read_text(0).values, planted_measures(TEXTS[0], 1))


class BrokenPredictor:
    """Returns what its contract forbids."""

    def __init__(self, values: list[list[float]], fingerprint: str = "broken") -> None:
        self.fingerprint = fingerprint
        self._values = np.array(values, dtype=np.float32)

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        return [TextGaze(np.array([[0, 1]], np.int32), self._values, np.zeros(1, np.int32)) for _ in texts]


@pytest.mark.parametrize("values", [[[1.0] * 4], [[1.0, float("nan"), 1, 1, 1]], [[-1.0] * 5]])
def test_measures_that_break_the_contract_are_not_stored(tmp_path: Path, values: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="gaze predictor returned"):
        build_store(["a"], BrokenPredictor(values), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_fingerprint_that_leaves_the_root_is_refused(tmp_path: Path) -> None:
    for fingerprint in ("../elsewhere", "a/b", "", "."):
        with pytest.raises(ValueError, match="no folder name"):
            build_store([], BrokenPredictor([[1.0] * 5], fingerprint), tmp_path)


class ChoosyPredictor(CountingPredictor):
    """Refuses some texts, as a predictor of recorded measures does."""

    def check_texts(self, texts: Sequence[str]) -> None:
        raise InputError(f"{len(texts)} texts refused")


def test_refused_texts_are_counted_over_all_texts_before_any_is_predicted(tmp_path: Path) -> None:
    predictor = ChoosyPredictor()
    with pytest.raises(InputError, match="5001 texts refused"):
        build_store(TEXTS, predictor, tmp_path / "new")
    assert predictor.asked == []
    assert not (tmp_path / "new").exists()


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        build_store([], PlantedPredictor(0), tmp_path / "file")


def test_a_predictor_that_loses_a_text_is_refused(tmp_path: Path) -> None:
    class Forgetful(PlantedPredictor):
        def predict(self, texts: Sequence[str]) -> list[TextGaze]:
            return super().predict(texts[1:])

    with pytest.raises(ValueError, match="measures of 9 texts for 10"):
        build_store(TEXTS[:10], Forgetful(0), tmp_path)
