"""A search that an older version began goes on with the defaults it began with, or says why it cannot."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from gazetune.config.config_file import write_config
from gazetune.config.presets import ADDED_LATER
from gazetune.errors import InputError
from gazetune.search.folder import SearchFolder
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study.earlier_defaults import keep_earlier_defaults

SPACE = """
name: mine
preset: reference
base: {gaze: {predictor: planted}, adapter: {kind: full}}
space:
  fusion.kind: {choice: [none, add]}
  optim.learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}
"""


@pytest.fixture
def begun(tmp_path: Path) -> tuple[SearchSpace, SearchFolder]:
    (tmp_path / "space.yaml").write_text(SPACE)
    space = read_space(tmp_path / "space.yaml")
    folder = SearchFolder.create(tmp_path, space)
    for number, kind in enumerate(("none", "add")):
        params = {"fusion.kind": kind, "optim.learning_rate": 0.001 * (number + 1)}
        write_config(space.trial_config(params), folder.trial_folder(f"{number:04}") / "config.yaml")
    folder.unlock()
    return space, folder


def change_trial(folder: SearchFolder, trial: str, changes: dict[str, Any]) -> None:
    """Write keys of a trial's config as another version had them; None takes one away."""
    path = folder.trial_folder(trial) / "config.yaml"
    tree = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        section, name = key.split(".")
        if value is None:
            tree[section].pop(name)
        else:
            tree[section][name] = value
    path.write_text(yaml.safe_dump(tree))


def test_a_search_of_this_version_is_as_it_was(
    begun: tuple[SearchSpace, SearchFolder], caplog: pytest.LogCaptureFixture
) -> None:
    space, folder = begun
    assert keep_earlier_defaults(space, folder) is space
    assert not caplog.messages


def test_keys_that_the_preset_did_not_know_stay_as_they_were(
    begun: tuple[SearchSpace, SearchFolder], caplog: pytest.LogCaptureFixture
) -> None:
    space, folder = begun
    for trial in ("0000", "0001"):
        change_trial(folder, trial, dict.fromkeys(sorted(ADDED_LATER)))
    params = {"fusion.kind": "add", "optim.learning_rate": 0.005}
    assert space.trial_config(params).train.head_std == 0.02
    with caplog.at_level(logging.WARNING):
        resumed = keep_earlier_defaults(space, folder)
    kept = resumed.trial_config(params)
    assert (kept.train.head_std, kept.data.tokens, kept.fusion.project_zeros) == (None, "template", False)
    assert resumed.axes == space.axes
    (line,) = caplog.messages
    assert line.startswith("search 'mine' was begun by a version with other defaults and keeps them: ")
    assert 'data.tokens "template" (now "reference")' in line and "\n" not in line
    folder.write_space(resumed)  # as a resumed search does; it is asked no second time
    again = read_space(folder.path / "space.yaml")
    assert keep_earlier_defaults(again, folder) is again


def test_a_default_of_some_trials_alone_is_refused(begun: tuple[SearchSpace, SearchFolder]) -> None:
    space, folder = begun
    change_trial(folder, "0000", {"train.epochs": 7.0})
    with pytest.raises(InputError) as caught:
        keep_earlier_defaults(space, folder)
    assert str(caught.value) == (
        "--resume: search 'mine' was begun by a version with other defaults: train.epochs 7.0 (now 2.0); accepted: "
        "that version, or a new search with --warm-start mine"
    )


def test_a_search_that_was_begun_without_a_confirmation_ends_without_one_and_says_so(
    begun: tuple[SearchSpace, SearchFolder], caplog: pytest.LogCaptureFixture
) -> None:
    space, folder = begun
    assert space.config.search.confirm is not None
    change_trial(folder, "0000", {"search.confirm": None})
    assert keep_earlier_defaults(space, folder).config.search.confirm is None
    (told,) = caplog.messages
    assert "'mine' was begun by a version that confirms no winner, and ends without a confirmation" in told
