from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.search.folder import SearchFolder
from gazetune.search.space.space_file import read_space

SPACE = """
name: mine
base: {gaze: {predictor: planted}, fusion: {kind: none}}
space:
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
  projector.dropout: {choice: [[0.0, 0.1], [0.1, 0.3]], when: fusion.kind != none}
search: {trials: 3}
"""


@pytest.fixture
def created(tmp_path: Path) -> SearchFolder:
    (tmp_path / "space.yaml").write_text(SPACE)
    space = read_space(tmp_path / "space.yaml", overrides=["train.seed=7", "fusion.kind=add"])
    return SearchFolder.create(tmp_path, space)


def test_a_resumed_search_has_the_space_it_began_with(created: SearchFolder, tmp_path: Path) -> None:
    created.unlock()
    begun = read_space(tmp_path / "space.yaml", overrides=["train.seed=7", "fusion.kind=add"])
    _, space = SearchFolder.open_to_resume(tmp_path, "mine")
    assert (space.name, space.base, space.axes) == (begun.name, begun.base, begun.axes)
    assert space.config == begun.config and space.config.train.seed == 7


def test_a_second_driver_is_kept_out(created: SearchFolder, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gazetune.search.folder import SearchFolder;"
        "SearchFolder.open_to_resume(Path(sys.argv[1]), 'mine')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "InputError: search 'mine'" in done.stderr and "is running already" in done.stderr
    created.unlock()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_finished_search_is_not_resumed(created: SearchFolder, tmp_path: Path) -> None:
    created.unlock()
    created.document.write_text("{}")
    with pytest.raises(InputError, match="search 'mine' is finished; its report is"):
        SearchFolder.open_to_resume(tmp_path, "mine")


def test_a_search_that_a_cap_ended_goes_on_with_another_one(created: SearchFolder, tmp_path: Path) -> None:
    created.unlock()
    created.document.write_text('{"ended_by": {"cap": "search.max_gpu_hours", "limit": 2.5}}')
    with pytest.raises(InputError, match=r"finished, since search.max_gpu_hours 2.5 was .* \(--max-gpu-hours\)$"):
        SearchFolder.open_to_resume(tmp_path, "mine")
    folder, space = SearchFolder.open_to_resume(tmp_path, "mine", new_caps=True)
    assert folder.document.exists(), "only a driver that begins takes it back"
    space.base["search"]["max_gpu_hours"] = 5.0
    folder.write_space(space)
    folder.unlock()
    assert not folder.document.exists()
    assert SearchFolder.open_to_resume(tmp_path, "mine")[1].config.search.max_gpu_hours == 5.0


def test_a_finished_search_is_not_resumed_with_a_cap_either(created: SearchFolder, tmp_path: Path) -> None:
    created.unlock()
    created.document.write_text('{"ended_by": null}')
    with pytest.raises(InputError, match="search 'mine' is finished; its report is"):
        SearchFolder.open_to_resume(tmp_path, "mine", new_caps=True)


def test_a_taken_name_is_refused_with_the_way_on(created: SearchFolder, tmp_path: Path) -> None:
    same = read_space(tmp_path / "space.yaml", overrides=["train.seed=7", "fusion.kind=add"])
    taken = r"a search 'mine' is already in .* or go on with --resume mine"
    with pytest.raises(InputError, match=taken):
        SearchFolder.check_name_is_free(tmp_path, same)
    with pytest.raises(InputError, match=taken):
        SearchFolder.create(tmp_path, same)


def test_a_taken_name_with_another_space_shows_what_changed(created: SearchFolder, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE.replace("[1.0e-4, 1.0e-2]", "[1.0e-4, 1.0e-3]"))
    other = read_space(tmp_path / "space.yaml", trials=9, overrides=["fusion.kind=add"])
    with pytest.raises(InputError) as caught:
        SearchFolder.check_name_is_free(tmp_path, other)
    line = str(caught.value)
    assert "search.trials: 3 -> 9; train.seed: 7 -> nothing; space.optim.learning_rate: " in line
    assert '{"log_uniform": [0.0001, 0.01]} -> {"log_uniform": [0.0001, 0.001]} (and 1 more)' in line
    assert "choose another --name" in line and "--resume" not in line and "\n" not in line


KILLED = """
import os, signal, sys
from pathlib import Path
from gazetune.search.folder import SearchFolder
from gazetune.search.space.space_file import read_space

space = read_space(Path(sys.argv[1]))
for step in range(100):
    place = Path(sys.argv[2]) / f"{step:02d}"
    place.mkdir()
    if os.fork() == 0:
        touched = 0
        def watch(event, arguments):
            global touched
            if str(place) in repr(arguments):
                if touched == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                touched += 1
        sys.addaudithook(watch)  # hears of every call that opens, makes, renames or removes, before it is made
        SearchFolder.create(place, space)
        os._exit(0)
    if os.wait()[1] == 0:
        break
"""


def test_a_creation_that_is_killed_anywhere_can_be_resumed_or_was_never_there(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE.replace("kind: none", "kind: add"))
    space, places = read_space(tmp_path / "space.yaml"), tmp_path / "places"
    places.mkdir()
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "space.yaml", places], check=True)
    seen: set[tuple[bool, bool]] = set()
    for place in sorted(places.iterdir()):
        there = (place / "mine").exists()
        seen.add((there, any(place.glob(".*"))))
        assert SearchFolder.list_names(place) == (["mine"] if there else []), place.name
        if there:
            folder, _ = SearchFolder.open_to_resume(place, "mine")
        else:
            SearchFolder.check_name_is_free(place, space)
            folder = SearchFolder.create(place, space)
        folder.unlock()
        assert [each.name for each in place.iterdir()] == ["mine"], place.name
    assert seen == {(False, False), (False, True), (True, False)}, "kills hit before, on the way and after"


def test_of_several_that_make_one_search_at_once_exactly_one_does(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE.replace("kind: none", "kind: add"))
    space, makers = read_space(tmp_path / "space.yaml"), 6
    together = threading.Barrier(makers)

    def make(storage: Path) -> SearchFolder | str:
        together.wait()
        try:
            return SearchFolder.create(storage, space)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(makers) as pool:
        for number in range(25):
            storage = tmp_path / str(number)
            storage.mkdir()
            made = list(pool.map(make, [storage] * makers))
            (winner,) = [each for each in made if isinstance(each, SearchFolder)]
            assert winner.is_driven()
            assert all("a search 'mine' is already in" in each for each in made if isinstance(each, str))
            assert [each.name for each in storage.iterdir()] == ["mine"]
            winner.unlock()


@pytest.mark.parametrize("form", ["empty folder", "folder", "file", "link to a folder", "link to nothing"])
def test_a_name_that_is_there_is_refused_in_whatever_form_and_left_as_it_was(form: str, tmp_path: Path) -> None:
    storage, other = tmp_path / "runs", tmp_path / "other"
    (storage / "mine").parent.mkdir()
    (tmp_path / "space.yaml").write_text(SPACE.replace("kind: none", "kind: add"))
    if "link" in form:
        (storage / "mine").symlink_to(other)
        if form == "link to a folder":
            other.mkdir()
    elif form == "file":
        (storage / "mine").write_text("")
    else:
        (storage / "mine").mkdir()
        if form == "folder":
            (storage / "mine" / "notes").write_text("")

    def files() -> dict[Path, int]:
        return {file: file.lstat().st_mtime_ns for file in tmp_path.rglob("*") if file != storage}

    before = files()
    with pytest.raises(InputError, match=r"'mine' is in .*runs already and is no search; choose another --name$"):
        SearchFolder.create(storage, read_space(tmp_path / "space.yaml"))
    assert files() == before


def test_a_storage_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "space.yaml").write_text(SPACE.replace("kind: none", "kind: add"))
    with pytest.raises(InputError, match=r"--storage: .*file/runs cannot be written \(Not a directory\)"):
        SearchFolder.check_name_is_free(tmp_path / "file" / "runs", read_space(tmp_path / "space.yaml"))


def test_a_search_is_in_preparation_until_it_is_said_to_be_over(created: SearchFolder, tmp_path: Path) -> None:
    assert created.is_in_preparation() and created.read_warm_start() is None
    created.finish_preparation()
    assert not created.is_in_preparation()
    created.finish_preparation()
    created.remove()
    assert not created.path.exists()
    space = read_space(tmp_path / "space.yaml", overrides=["fusion.kind=add"])
    again = SearchFolder.create(tmp_path, space, warm_start="earlier")
    assert again.read_warm_start() == str(Path("earlier").absolute()), "no search of this name is in the storage folder"
    again.remove()
    (tmp_path / "earlier").mkdir()
    assert SearchFolder.create(tmp_path, space, warm_start="earlier").read_warm_start() == "earlier"
