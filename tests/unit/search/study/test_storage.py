"""Where a study is kept: what is accepted, what is refused before anything is written, and whose study it is."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from gazetune.config import SearchConfig
from gazetune.config.config_file import write_config
from gazetune.errors import InputError
from gazetune.search.folder import SearchFolder
from gazetune.search.run import run_search
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.shipped_spaces import find_space_file
from gazetune.search.space.space_file import read_space
from gazetune.search.space.study_url import storage_url
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.storage import (
    check_study_storage,
    find_study,
    open_shared_study,
    open_study,
    own_study_url,
)
from gazetune.search.study.warm_start import with_history
from gazetune.trials.run_folder import RunFacts

SPACE = """\
name: shared
base: {gaze: {predictor: planted}}
space:
  optim.learning_rate: {log_uniform: [1e-4, 1e-2]}
search:
  trials: 3
  storage: "URL"
"""
WRITERS = Path(__file__).parents[3] / "study_writers.py"
OPENERS = Path(__file__).parents[3] / "study_openers.py"


def space_with(url: str, folder: Path, name: str = "shared") -> SearchSpace:
    (folder / "space.yaml").write_text(SPACE.replace("URL", url).replace("name: shared", f"name: {name}"))
    return read_space(folder / "space.yaml")


def refused(url: str, folder: Path, name: str = "shared") -> str:
    with pytest.raises(InputError) as caught:
        check_study_storage(url, name, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(params=["journal:", "sqlite:///"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}{tmp_path}/studies"


def own_folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_urls_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert storage_url("journal:log", "here") == f"journal:{tmp_path}/log"
    assert storage_url("sqlite:///a.db", "here") == f"sqlite:///{tmp_path}/a.db"
    assert storage_url("postgresql://me@h:1/d", "here") == "postgresql+psycopg2://me@h:1/d"
    assert storage_url("postgresql+psycopg://h/d", "here") == "postgresql+psycopg://h/d"
    assert space_with("journal:log", tmp_path).base["search"]["storage"] == f"journal:{tmp_path}/log"


@pytest.mark.parametrize(
    "given",
    [
        "journal:",
        "/a/file",
        "oracle://h/d",
        "nope://me:secret@h/d?x=secret",
        "postgresql://h:port/d",
        "postgresql://h",
        "sqlite://",
        "sqlite:///:memory:",
        "",
    ],
)
def test_other_urls_are_refused_at_their_line(given: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"space\.yaml:7: search\.storage: '.*accepted: postgresql://") as caught:
        space_with(given, tmp_path)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("given", ["postgresql://me:sec?ret@h/d", "mysql://me@h/d?password=sec?ret"])
def test_a_password_is_refused_and_not_shown(given: str) -> None:
    with pytest.raises(InputError, match=r"--set: search\.storage: .* has a password.*PGPASSWORD") as caught:
        read_space(find_space_file("smoke"), None, None, [f"search.storage={given}"])
    assert "sec" not in str(caught.value) and "ret" not in str(caught.value)


def test_a_server_that_is_down_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    pytest.importorskip("psycopg2")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(InputError, match=r"^search\.storage 'postgresql.* cannot be used \(connection to .*refused"):
        run_search("smoke", storage=tmp_path, overrides=[f"search.storage=postgresql://127.0.0.1:{port}/d"])
    assert not list(tmp_path.iterdir())


def test_a_server_that_accepts_and_never_answers_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("psycopg2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = storage_url(f"postgresql://127.0.0.1:{silent.getsockname()[1]}/d", "here")
        assert "timeout expired" in refused(silent_url, tmp_path)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql+no_such_driver://h/d", "cannot be used (Can't load plugin"),
        ("mysql+asyncmy://h/d", "needs the Python package asyncmy: pip install asyncmy"),
    ],
)
def test_a_driver_that_is_not_there_is_named(url: str, told: str, tmp_path: Path) -> None:
    assert told in refused(url, tmp_path)


def test_the_driver_of_postgresql_is_in_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)  # as if it were not installed
    told = refused(storage_url("postgresql://h/d", "here"), tmp_path)
    assert "needs the Python package psycopg2: pip install 'gazetune[postgres]'" in told


def test_files_that_cannot_be_used_are_refused_and_stay_as_they_are(tmp_path: Path) -> None:
    text = "this is a text, and a long one: longer than a header of sixteen bytes is\n" * 20
    (tmp_path / "text").write_text(text)
    (tmp_path / "json").write_text('{"a": 1}\n["b"]\n')
    for kind in ("journal:", "sqlite:///"):
        assert f"no folder {tmp_path}/none" in refused(f"{kind}{tmp_path}/none/file", tmp_path / "shared")
        assert "cannot be used" in refused(f"{kind}{tmp_path}/text", tmp_path / "shared")
        assert "cannot be used" in refused(f"{kind}{tmp_path}/json", tmp_path / "shared")
        assert "cannot be used" in refused(f"{kind}{tmp_path}", tmp_path / "shared")
    assert (tmp_path / "text").read_text() == text and len(list(tmp_path.iterdir())) == 2


def test_asking_writes_nothing(url: str, tmp_path: Path) -> None:
    check_study_storage(url, "shared", tmp_path / "shared")
    assert find_study(url, "shared") is None
    assert not list(tmp_path.iterdir())


def test_a_look_into_a_database_that_is_being_made_writes_nothing(tmp_path: Path) -> None:
    complete = own_study_url(own_folder(tmp_path / "complete"))
    open_study("shared", SearchConfig(), tmp_path / "complete")
    engine = sqlalchemy.create_engine(complete)
    with engine.begin() as connection:
        for table in ("study_directions", "studies", "version_info", "alembic_version"):
            connection.execute(sqlalchemy.text(f"DELETE FROM {table}"))  # as a kill on the way leaves it
    before = (tmp_path / "complete" / "study.db").read_bytes()
    assert find_study(complete, "shared") is None
    check_study_storage(complete, "shared", tmp_path / "shared")
    assert (tmp_path / "complete" / "study.db").read_bytes() == before
    open_study("shared", SearchConfig(), tmp_path / "complete")
    assert find_study(complete, "shared") is not None


def test_drivers_and_onlookers_may_open_a_new_storage_at_once(url: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(OPENERS), url, str(tmp_path), "4"], check=True)
    for number in range(4):
        assert find_study(url, f"s{number}") is not None


def test_a_driver_waits_while_a_file_is_read(tmp_path: Path) -> None:
    study = open_study("shared", SearchConfig(), tmp_path)
    trial = study.ask()
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db", check_same_thread=False)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM studies").fetchall()
        reading = threading.Timer(7, reader.rollback)  # longer than the five seconds that are usual
        reading.start()
        study.tell(trial, 0.5)
        reading.join()
    assert study.best_value == 0.5


def test_a_search_goes_on_with_its_study_and_another_one_is_refused(url: str, tmp_path: Path) -> None:
    space, folder = space_with(url, tmp_path), own_folder(tmp_path / "shared")
    study = open_study("shared", space.config.search, folder)
    study.tell(study.ask(), 0.5)
    left = study.ask({"x": optuna.distributions.FloatDistribution(0, 1)})
    check_study_storage(url, "shared", folder)
    again = open_study("shared", space.config.search, folder)
    assert [trial.state.name for trial in again.trials] == ["COMPLETE", "RUNNING"]
    again.tell(optuna.Trial(again, again.trials[1]._trial_id), 0.7)
    assert again.trials[1].params == left.params and again.best_value == 0.7
    other = own_folder(tmp_path / "elsewhere")
    assert "has a study 'shared' of another search; choose another --name" in refused(url, other)
    with pytest.raises(InputError, match="of another search"):
        open_study("shared", space.config.search, other)
    check_study_storage(url, "free", tmp_path / "free")
    open_shared_study(url, "free", ["minimize"], other)
    assert not (folder / "study.db").exists()


def test_a_study_that_no_search_made_is_left_alone(url: str, tmp_path: Path) -> None:
    open_shared_study(url, "any", ["minimize"], own_folder(tmp_path / "any"))
    study = find_study(url, "any")
    assert study is not None
    optuna.create_study(storage=study._storage, study_name="shared").enqueue_trial({})
    assert "of another search" in refused(url, tmp_path / "shared")
    with pytest.raises(InputError, match="of another search"):
        open_shared_study(url, "shared", ["minimize"], own_folder(tmp_path / "shared"))


def test_a_driver_killed_while_it_made_the_study_can_go_on(url: str, tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "shared")
    open_shared_study(url, "first", ["minimize"], folder)  # leaves the folder's mark
    study = find_study(url, "first")
    assert study is not None
    optuna.create_study(storage=study._storage, study_name="shared")  # which nobody marked
    check_study_storage(url, "shared", folder)
    open_shared_study(url, "shared", ["minimize"], folder)
    assert "of another search" in refused(url, tmp_path / "other")


def test_a_search_whose_study_is_gone_is_refused(url: str, tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "shared")
    open_shared_study(url, "shared", ["minimize"], folder)
    (folder / "trials").mkdir()
    check_study_storage(url, "shared", folder)
    Path(url.split(":", 1)[1].replace("///", "/")).unlink()
    assert "has no study 'shared' any more" in refused(url, folder)


def test_the_study_is_in_the_searchs_folder_unless_a_storage_is_given(tmp_path: Path) -> None:
    space = read_space(find_space_file("smoke"))
    check_study_storage(space.config.search.storage, "smoke", tmp_path)
    open_study("smoke", space.config.search, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    assert find_study(own_study_url(tmp_path), "smoke") is not None


def test_a_warm_start_reads_the_study_where_it_is(url: str, tmp_path: Path) -> None:
    old = space_with(url, tmp_path, "old")
    folder = SearchFolder.create(tmp_path, old)
    folder.write_facts(RunFacts("pairs", 1000))
    with pytest.raises(InputError, match=r"--warm-start old: there is no study 'old' in "):
        with_history(space_with(url, tmp_path, "new"), "old", tmp_path, RunFacts("pairs", 1000))
    study = open_study("old", old.config.search, folder.path)
    trial = study.ask()
    write_config(old.trial_config(propose_values(trial, old)), folder.trial_folder("0000") / "config.yaml")
    study.tell(trial, 0.6)
    new = with_history(space_with(url, tmp_path, "new"), "old", tmp_path, RunFacts("pairs", 1000))
    assert [(past.source, past.values) for past in new.extras.history] == [("old:0000", (0.6,))]


def test_sixteen_writers_at_once_lose_nothing_in_a_journal_file(tmp_path: Path) -> None:
    journal = f"journal:{tmp_path}/log"
    open_shared_study(journal, "shared", ["maximize"], own_folder(tmp_path / "shared"))
    subprocess.run([sys.executable, str(WRITERS), journal, "shared", "16", "2"], check=True)
    study = find_study(journal, "shared")
    assert study is not None
    trials = study.trials
    assert [trial.number for trial in trials] == list(range(32))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert sorted(trial.value for trial in trials) == [
        1000 * writer + turn for writer in range(16) for turn in range(2)
    ]
    assert all(set(trial.intermediate_values) == {10, 20, 30} for trial in trials)
