from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.search.folder import SearchFolder, check_free
from gazetune.search.space.search_space import read_space

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
    created.release()
    begun = read_space(tmp_path / "space.yaml", overrides=["train.seed=7", "fusion.kind=add"])
    _, space = SearchFolder.open(tmp_path, "mine")
    assert (space.name, space.base, space.axes) == (begun.name, begun.base, begun.axes)
    assert space.config == begun.config and space.config.train.seed == 7


def test_a_second_driver_is_kept_out(created: SearchFolder, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from gazetune.search.folder import SearchFolder;"
        "SearchFolder.open(Path(sys.argv[1]), 'mine')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "InputError: search 'mine'" in done.stderr and "is running already" in done.stderr
    created.release()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_finished_search_is_not_resumed(created: SearchFolder, tmp_path: Path) -> None:
    created.release()
    created.document.write_text("{}")
    with pytest.raises(InputError, match="search 'mine' is finished; its report is"):
        SearchFolder.open(tmp_path, "mine")


def test_a_search_that_a_cap_ended_goes_on_with_another_one(created: SearchFolder, tmp_path: Path) -> None:
    created.release()
    created.document.write_text('{"ended_by": {"cap": "search.max_gpu_hours", "limit": 2.5}}')
    with pytest.raises(InputError, match=r"finished, since search.max_gpu_hours 2.5 was .* \(--max-gpu-hours\)$"):
        SearchFolder.open(tmp_path, "mine")
    folder, space = SearchFolder.open(tmp_path, "mine", more=True)
    assert folder.document.exists(), "only a driver that begins takes it back"
    space.base["search"]["max_gpu_hours"] = 5.0
    folder.write_space(space)
    folder.release()
    assert not folder.document.exists()
    assert SearchFolder.open(tmp_path, "mine")[1].config.search.max_gpu_hours == 5.0


def test_a_finished_search_is_not_resumed_with_a_cap_either(created: SearchFolder, tmp_path: Path) -> None:
    created.release()
    created.document.write_text('{"ended_by": null}')
    with pytest.raises(InputError, match="search 'mine' is finished; its report is"):
        SearchFolder.open(tmp_path, "mine", more=True)


def test_a_taken_name_is_refused_with_the_way_on(created: SearchFolder, tmp_path: Path) -> None:
    same = read_space(tmp_path / "space.yaml", overrides=["train.seed=7", "fusion.kind=add"])
    taken = r"a search 'mine' is already in .* or go on with --resume mine"
    with pytest.raises(InputError, match=taken):
        check_free(tmp_path, same)
    with pytest.raises(InputError, match=taken):
        SearchFolder.create(tmp_path, same)


def test_a_taken_name_with_another_space_shows_what_changed(created: SearchFolder, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE.replace("[1.0e-4, 1.0e-2]", "[1.0e-4, 1.0e-3]"))
    other = read_space(tmp_path / "space.yaml", trials=9, overrides=["fusion.kind=add"])
    with pytest.raises(InputError) as caught:
        check_free(tmp_path, other)
    line = str(caught.value)
    assert "search.trials: 3 -> 9; train.seed: 7 -> nothing; space.optim.learning_rate: " in line
    assert '{"log_uniform": [0.0001, 0.01]} -> {"log_uniform": [0.0001, 0.001]} (and 1 more)' in line
    assert "choose another --name" in line and "--resume" not in line and "\n" not in line


def test_a_storage_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "space.yaml").write_text(SPACE.replace("kind: none", "kind: add"))
    with pytest.raises(InputError, match=r"--storage: .*file/runs cannot be written \(Not a directory\)"):
        check_free(tmp_path / "file" / "runs", read_space(tmp_path / "space.yaml"))
