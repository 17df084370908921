from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from gazetune.errors import InputError
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.predictors.planted import PlantedPredictor, planted_measures
from gazetune.gaze.store import GazeStore, build_store
from gazetune.gaze.words import text_key

TEXTS = [f"text {number} has " + "many " * (number % 7) + "words" for number in range(5000)] + [""]


class CountingPredictor(PlantedPredictor):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(0)
        self.asked: list[str] = []

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        self.asked.extend(texts)
        return super().predict(texts)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> GazeStore:
    return build_store(TEXTS, PlantedPredictor(0), tmp_path_factory.mktemp("gaze"))


def parts_of(store: GazeStore) -> list[Path]:
    return sorted(store.folder.glob("*.arrow"))


def test_every_text_has_its_own_measures_back(store: GazeStore) -> None:
    assert len(store) == len(TEXTS)
    assert len(store.parts) == 3
    for text, row in zip(TEXTS, store.rows(TEXTS).tolist(), strict=True):
        gaze = store.text(row)
        assert np.array_equal(gaze.values, planted_measures(text, 0))
        assert [text[start:end] for start, end in gaze.spans.tolist()] == text.split()
        assert gaze.words.tolist() == list(range(len(text.split())))


def test_gather_returns_the_asked_rows_in_the_asked_order(store: GazeStore) -> None:
    texts = [TEXTS[4000], "", TEXTS[3], TEXTS[4000], TEXTS[2500]]
    gathered = store.gather(store.rows(texts))
    assert np.diff(gathered.offsets).tolist() == [len(text.split()) for text in texts]
    for text, start, stop in zip(texts, gathered.offsets[:-1], gathered.offsets[1:], strict=True):
        assert np.array_equal(gathered.values[start:stop], planted_measures(text, 0))
        assert [text[low:high] for low, high in gathered.spans[start:stop].tolist()] == text.split()
        assert gathered.words[start:stop].tolist() == list(range(len(text.split())))
    assert [len(array) for array in store.gather([])] == [0, 0, 0, 1]


def test_rows_and_texts_that_are_not_there_are_refused(store: GazeStore) -> None:
    key = text_key("never seen").hex()
    with pytest.raises(InputError, match=f"1 of 2 texts are not in the store.*{key}.*'never seen'"):
        store.rows([TEXTS[0], "never seen"])
    for row in (-1, len(store)):
        with pytest.raises(IndexError):
            store.text(row)
        with pytest.raises(IndexError):
            store.gather([0, row])


def test_arrays_are_views_of_the_mapped_files(store: GazeStore) -> None:
    mapped = Path("/proc/self/maps").read_text() if sys.platform == "linux" else ""
    for path, part in zip(parts_of(store), store.parts, strict=True):
        if mapped:
            ranges = [line.split()[0].split("-") for line in mapped.splitlines() if line.endswith(path.name)]
            for array in (part.keys, *part.gaze):
                address = array.__array_interface__["data"][0]
                assert any(int(low, 16) <= address < int(high, 16) for low, high in ranges)
        assert not part.gaze.values.flags.writeable


def test_keys_are_found_whatever_bytes_they_hold(store: GazeStore) -> None:
    # Zero bytes and bytes above 127 must not upset numpy's comparison of fixed-width strings.
    keys = np.concatenate([part.keys for part in store.parts])
    raw = [key.ljust(32, b"\0") for key in keys.tolist()]
    assert any(b"\0" in key for key in raw)
    assert sorted(raw) == sorted(text_key(text) for text in TEXTS)
    assert np.array_equal(store.find(keys), np.arange(len(store)))


def test_another_process_reads_equal_values(store: GazeStore) -> None:
    code = (
        "import sys; from pathlib import Path; from gazetune.gaze.store import GazeStore;"
        "store = GazeStore.open(Path(sys.argv[1]));"
        "gaze = store.gather(store.rows(sys.argv[2:])); sys.stdout.buffer.write(gaze.values.tobytes())"
    )
    texts = [TEXTS[17], TEXTS[4711]]
    run = subprocess.run([sys.executable, "-c", code, str(store.folder), *texts], check=True, capture_output=True)
    assert run.stdout == b"".join(planted_measures(text, 0).tobytes() for text in texts)


def test_texts_in_the_store_are_not_predicted_again_and_keep_their_rows(tmp_path: Path) -> None:
    predictor = CountingPredictor()
    first = build_store(TEXTS[:10], predictor, tmp_path)
    before = first.rows(TEXTS[:10])
    steps: list[tuple[int, int]] = []
    grown = build_store(reversed(TEXTS[:1000] * 2), predictor, tmp_path, lambda *step: steps.append(step))
    assert sorted(predictor.asked) == sorted(TEXTS[:1000])
    assert np.array_equal(grown.rows(TEXTS[:10]), before)
    assert np.array_equal(GazeStore.open(grown.folder).rows(TEXTS[:1000]), grown.rows(TEXTS[:1000]))
    assert steps[0] == (10, 1000)
    assert steps[-1] == (1000, 1000)
    assert np.array_equal(first.text(int(before[3])).values, planted_measures(TEXTS[3], 0))


def test_nothing_to_store_is_an_empty_store(tmp_path: Path) -> None:
    store = build_store([], PlantedPredictor(0), tmp_path)
    assert len(store) == 0
    assert len(store.gather([]).values) == 0
    with pytest.raises(InputError, match="not in the store"):
        store.rows(["a"])


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_part_is_named_on_open_and_rebuilt(tmp_path: Path, damage: str) -> None:
    texts = TEXTS[:3000]
    path = parts_of(build_store(texts, PlantedPredictor(0), tmp_path))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    with pytest.raises(InputError, match=f"{path.name}: corrupt or truncated"):
        GazeStore.open(path.parent)
    predictor = CountingPredictor()
    repaired = build_store(texts, predictor, tmp_path)
    assert len(predictor.asked) == 2048
    assert np.array_equal(repaired.gather(repaired.rows(texts[:1])).values, planted_measures(texts[0], 0))
    assert len(GazeStore.open(path.parent)) == len(texts)


SLOW_BUILD = """
import sys, time
from pathlib import Path
from gazetune.gaze.predictors.planted import PlantedPredictor
from gazetune.gaze.store import build_store

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


def test_other_seeds_have_a_store_of_their_own(store: GazeStore) -> None:
    other = build_store(TEXTS[:1], PlantedPredictor(1), store.folder.parent)
    assert other.fingerprint == PlantedPredictor(1).fingerprint != store.fingerprint
    assert np.array_equal(other.text(0).values, planted_measures(TEXTS[0], 1))


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
    assert len(GazeStore.open(tmp_path / "broken")) == 0


def test_a_fingerprint_that_leaves_the_root_is_refused(tmp_path: Path) -> None:
    for fingerprint in ("../elsewhere", "a/b", "", "."):
        with pytest.raises(ValueError, match="no folder name"):
            build_store([], BrokenPredictor([[1.0] * 5], fingerprint), tmp_path)


class ChoosyPredictor(CountingPredictor):
    """Refuses some texts, as a predictor of recorded measures does."""

    def check(self, texts: Sequence[str]) -> None:
        raise InputError(f"{len(texts)} texts refused")


def test_refused_texts_are_counted_over_all_texts_before_any_is_predicted(tmp_path: Path) -> None:
    predictor = ChoosyPredictor()
    with pytest.raises(InputError, match="5001 texts refused"):
        build_store(TEXTS, predictor, tmp_path)
    assert predictor.asked == []


def test_a_place_that_cannot_be_written_and_a_store_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        build_store([], PlantedPredictor(0), tmp_path / "file")
    with pytest.raises(InputError, match="no gaze store"):
        GazeStore.open(tmp_path / "absent")
