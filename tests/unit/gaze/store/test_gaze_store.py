from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gazetune.errors import InputError
from gazetune.gaze.predictors.planted import PlantedPredictor, planted_measures
from gazetune.gaze.store.build import build_store
from gazetune.gaze.store.gaze_store import GazeStore
from gazetune.gaze.words import text_key

TEXTS = [f"text {number} has " + "many " * (number % 7) + "words" for number in range(5000)] + [""]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> GazeStore:
    return build_store(TEXTS, PlantedPredictor(0), tmp_path_factory.mktemp("gaze"))


def parts_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.arrow"))


def test_every_text_has_its_own_measures_back(store: GazeStore) -> None:
    assert len(store) == len(TEXTS)
    assert len(store.parts) == 3
    for text, row in zip(TEXTS, store.find_rows(TEXTS).tolist(), strict=True):
        gaze = store.read_text(row)
        assert np.array_equal(gaze.values, planted_measures(text, 0))
        assert [text[start:end] for start, end in gaze.spans.tolist()] == text.split()
        assert gaze.words.tolist() == list(range(len(text.split())))


def test_gather_returns_the_asked_rows_in_the_asked_order(store: GazeStore) -> None:
    texts = [TEXTS[4000], "", TEXTS[3], TEXTS[4000], TEXTS[2500]]
    gathered = store.gather_rows(store.find_rows(texts))
    assert np.diff(gathered.offsets).tolist() == [len(text.split()) for text in texts]
    for text, start, stop in zip(texts, gathered.offsets[:-1], gathered.offsets[1:], strict=True):
        assert np.array_equal(gathered.values[start:stop], planted_measures(text, 0))
        assert [text[low:high] for low, high in gathered.spans[start:stop].tolist()] == text.split()
        assert gathered.words[start:stop].tolist() == list(range(len(text.split())))
    assert [len(array) for array in store.gather_rows([])] == [0, 0, 0, 1]


def test_rows_and_texts_that_are_not_there_are_refused(store: GazeStore) -> None:
    key = text_key("never seen").hex()
    with pytest.raises(InputError, match=f"1 of 2 texts are not in the store.*{key}.*'never seen'"):
        store.find_rows([TEXTS[0], "never seen"])
    for row in (-1, len(store)):
        with pytest.raises(IndexError):
            store.read_text(row)
        with pytest.raises(IndexError):
            store.gather_rows([0, row])


def test_arrays_are_views_of_the_mapped_files(store: GazeStore) -> None:
    mapped = Path("/proc/self/maps").read_text() if sys.platform == "linux" else ""
    for path, part in zip(parts_of(store.folder), store.parts, strict=True):
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
    assert np.array_equal(store.find_keys(keys), np.arange(len(store)))


def test_another_process_reads_equal_values(store: GazeStore) -> None:
    code = (
        "import sys; from pathlib import Path; from gazetune.gaze.store.gaze_store import GazeStore;"
        "store = GazeStore.open(Path(sys.argv[1]));"
        "gaze = store.gather_rows(store.find_rows(sys.argv[2:])); sys.stdout.buffer.write(gaze.values.tobytes())"
    )
    texts = [TEXTS[17], TEXTS[4711]]
    run = subprocess.run([sys.executable, "-c", code, str(store.folder), *texts], check=True, capture_output=True)
    assert run.stdout == b"".join(planted_measures(text, 0).tobytes() for text in texts)


def test_a_text_is_found_in_whichever_of_overlapping_parts_it_is(tmp_path: Path) -> None:
    for step in range(4):  # every part spans the whole range of keys
        store = build_store(TEXTS[step:400:4], PlantedPredictor(0), tmp_path)
    assert len(store.parts) == 4
    rows = store.find_rows(TEXTS[:400])
    assert sorted(rows.tolist()) == list(range(400))
    for text, row in zip(TEXTS[:400], rows.tolist(), strict=True):
        assert np.array_equal(store.read_text(row).values, planted_measures(text, 0))


def test_a_folder_without_a_store_and_a_damaged_part_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent: no gaze store is here"):
        GazeStore.open(tmp_path / "absent")
    (path,) = parts_of(build_store(TEXTS[:9], PlantedPredictor(0), tmp_path).folder)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=f"{path.name}: corrupt or truncated"):
        GazeStore.open(path.parent)
