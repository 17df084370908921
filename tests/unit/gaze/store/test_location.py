from __future__ import annotations

import datetime
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pyarrow import fs

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.gaze.measures import TextGaze
from gazetune.gaze.predictors.planted import PlantedPredictor, planted_measures
from gazetune.gaze.store.build import build_store
from gazetune.gaze.store.gaze_store import GazeStore
from gazetune.gaze.store.location import RemoteStores, StoreLocation, locate_store

TEXTS = [f"text {number} has words" for number in range(5000)]


class CountingPredictor(PlantedPredictor):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(0)
        self.asked: list[str] = []

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        self.asked.extend(texts)
        return super().predict(texts)


class Unwilling(PlantedPredictor):
    """Must not be asked for anything."""

    def predict(self, texts: Sequence[str]) -> list[TextGaze]:
        raise AssertionError(f"asked for {len(texts)} texts")


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that was filled through its URI."""
    folder = tmp_path_factory.mktemp("there")
    build_store(TEXTS, PlantedPredictor(0), locate_store(folder.as_uri(), tmp_path_factory.mktemp("cache")))
    return folder


@pytest.fixture
def copied(there: Path, tmp_path: Path) -> Path:
    """Return a copy of it that a test may damage."""
    copy = tmp_path / "there" / PlantedPredictor(0).fingerprint
    copy.mkdir(parents=True)
    for path in names(there):
        (copy / path).write_bytes((there / copy.name / path).read_bytes())
    return copy


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / PlantedPredictor(0).fingerprint).iterdir() if path.name != ".lock")


def right(store: GazeStore) -> bool:
    rows = store.find_rows(TEXTS)
    return len(store) == len(TEXTS) and np.array_equal(
        store.gather_rows(rows).values, np.concatenate([planted_measures(text, 0) for text in TEXTS])
    )


def test_a_folder_is_the_store_itself_and_none_is_in_the_cache(tmp_path: Path) -> None:
    assert locate_store(None, tmp_path) == (tmp_path / "gaze", None)
    assert locate_store("/some/folder", tmp_path) == (Path("/some/folder"), None)


def test_a_store_at_a_uri_has_the_parts_of_a_local_one_and_no_remains(there: Path, tmp_path: Path) -> None:
    build_store(TEXTS, PlantedPredictor(0), tmp_path)
    assert names(there) == names(tmp_path)
    for name in names(there):
        assert (there / PlantedPredictor(0).fingerprint / name).read_bytes() == (
            tmp_path / PlantedPredictor(0).fingerprint / name
        ).read_bytes()


def test_another_machine_fetches_the_parts_and_predicts_nothing(there: Path, tmp_path: Path) -> None:
    location = locate_store(there.as_uri(), tmp_path)
    store = build_store(TEXTS, Unwilling(0), location)
    assert right(store)
    assert store.folder.is_relative_to(tmp_path)
    assert names(location.root) == names(there)


def test_a_cache_belongs_to_one_uri(there: Path, tmp_path: Path) -> None:
    build_store(TEXTS, PlantedPredictor(0), locate_store(there.as_uri(), tmp_path))
    other = locate_store((tmp_path / "other").as_uri(), tmp_path)
    assert other.root != locate_store(there.as_uri(), tmp_path).root
    assert locate_store(f"{there.as_uri()}/", tmp_path).root == locate_store(there.as_uri(), tmp_path).root
    assert len(build_store(TEXTS[:3], PlantedPredictor(0), other)) == 3


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_part_at_the_uri_is_named_and_replaced(
    damage: str, copied: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = {path.name: path.read_bytes() for path in copied.iterdir()}
    name = sorted(whole)[1]
    content = bytearray(whole[name])
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content if damage == "flip" else content[: len(content) // 2])
    predictor = CountingPredictor()
    caplog.set_level(logging.WARNING)
    location = locate_store(copied.parent.as_uri(), tmp_path / "cache")
    assert right(build_store(TEXTS, predictor, location))
    assert [record.getMessage() for record in caplog.records] == [
        f"{copied.as_uri()}/{name}: corrupt or truncated (checksum differs); it is built again"
    ]
    assert len(predictor.asked) == 2048
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == whole


def test_a_damaged_part_that_is_replaced_by_another_name_goes(copied: Path, tmp_path: Path) -> None:
    first = sorted(copied.iterdir())[0]
    forged = first.rename(copied / f"{first.name[:11]}{'0' * 32}.arrow")
    build_store(TEXTS, PlantedPredictor(0), locate_store(copied.parent.as_uri(), tmp_path / "cache"))
    assert first.exists() and not forged.exists()
    assert len(list(copied.iterdir())) == 3


def test_a_damaged_part_in_the_cache_is_fetched_again(there: Path, tmp_path: Path) -> None:
    location = locate_store(there.as_uri(), tmp_path)
    build_store(TEXTS, Unwilling(0), location)
    path = location.root / PlantedPredictor(0).fingerprint / names(there)[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert right(build_store(TEXTS, Unwilling(0), location))


def test_parts_that_were_written_but_not_copied_before_a_kill_are_copied(there: Path, tmp_path: Path) -> None:
    copy = tmp_path / "there"
    location = locate_store(copy.as_uri(), tmp_path / "cache")
    build_store(TEXTS, PlantedPredictor(0), location)
    lost = copy / PlantedPredictor(0).fingerprint / names(copy)[2]
    lost.unlink()
    assert right(build_store(TEXTS, Unwilling(0), location))
    assert names(copy) == names(there)


def test_a_part_in_the_cache_gives_way_to_the_one_that_somebody_else_built(copied: Path, tmp_path: Path) -> None:
    location = locate_store(copied.parent.as_uri(), tmp_path / "cache")
    mine = build_store(TEXTS[:100], PlantedPredictor(0), StoreLocation(location.root, None))
    assert len(mine) == 100
    store = build_store(TEXTS, Unwilling(0), location)
    assert right(store)
    assert names(copied.parent) == names(location.root)


def test_any_file_system_of_pyarrow_will_do(tmp_path: Path) -> None:
    mock = fs._MockFileSystem(datetime.datetime(2026, 1, 1))
    mock.create_dir("bucket")
    inside = RemoteStores(fs.SubTreeFileSystem("bucket", mock), "gaze", "mock://bucket/gaze")
    assert right(build_store(TEXTS, PlantedPredictor(0), StoreLocation(tmp_path / "one", inside)))
    found = mock.get_file_info(fs.FileSelector("bucket", recursive=True))
    files = [info.base_name for info in found if info.is_file]
    assert len(files) == 3 and all(name.startswith("part-0000") for name in files)
    assert right(build_store(TEXTS, Unwilling(0), StoreLocation(tmp_path / "two", inside)))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("nothing://bucket/gaze", r"gaze.store: nothing://bucket/gaze cannot be opened \(Unrecognized filesystem type"),
        ("s3://", r"gaze.store: s3:/* cannot be opened"),
    ],
)
def test_a_uri_that_cannot_be_opened_is_one_line(uri: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=expected) as caught:
        locate_store(uri, tmp_path)
    assert "\n" not in str(caught.value)
    assert "accepted: a folder, or a URI" in str(caught.value)


def test_a_uri_that_cannot_be_written_is_refused_before_anything_is_predicted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    location = locate_store((tmp_path / "file" / "below").as_uri(), tmp_path / "cache")
    with pytest.raises(InputError, match=r"gaze.store: file:///.* cannot be (read|written) \("):
        build_store(TEXTS[:5], Unwilling(0), location)


def test_a_server_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    code = (
        "import sys; from pathlib import Path; from gazetune.gaze.store.location import locate_store\n"
        "from gazetune.gaze.store.build import build_store; from gazetune.errors import InputError\n"
        "from gazetune.gaze.predictors.planted import PlantedPredictor\n"
        "try: build_store(['a'], PlantedPredictor(0), locate_store(sys.argv[1], Path(sys.argv[2])))\n"
        "except InputError as error: print(error)\n"
    )
    uri = f"s3://me:secret@bucket/gaze?region=local&scheme=http&endpoint_override=127.0.0.1:{port}"
    done = subprocess.run([sys.executable, "-c", code, uri, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith("gaze.store: s3://") and done.stdout.count("\n") == 1, done.stderr
    assert "secret" not in done.stdout


def test_processes_that_build_one_uri_at_once_end_with_the_same_store(there: Path, tmp_path: Path) -> None:
    code = (
        "import json, sys; from pathlib import Path; from gazetune.gaze.store.location import locate_store\n"
        "from gazetune.gaze.store.build import build_store\n"
        "from gazetune.gaze.predictors.planted import PlantedPredictor\n"
        "texts = json.loads(Path(sys.argv[1]).read_text())\n"
        "print(len(build_store(texts, PlantedPredictor(0), locate_store(sys.argv[2], Path(sys.argv[3])))))\n"
    )
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    uri = (tmp_path / "there").as_uri()
    builds = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "texts.json"), uri, str(tmp_path / f"cache{machine}")],
            stdout=subprocess.PIPE,
            text=True,
        )
        for machine in (0, 0, 1)  # two of them on one machine
    ]
    assert [build.communicate(timeout=120)[0] for build in builds] == ["5000\n"] * 3
    assert names(tmp_path / "there") == names(there)


def test_the_place_of_the_store_changes_no_result() -> None:
    from gazetune.reward.data.prepared_data import preparation_key

    assert preparation_key(Config()) == preparation_key(Config.model_validate({"gaze": {"store": "s3://a/b"}}))
