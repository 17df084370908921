"""Studies in a real PostgreSQL, which this module starts and stops."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from gazetune.errors import InputError
from gazetune.search.run import run_search
from gazetune.search.space.shipped_spaces import find_space_file
from gazetune.search.space.space_file import read_space
from gazetune.search.space.study_url import storage_url
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.storage import check_study_storage, find_study, open_shared_study, open_study
from tests.commands import gazetune, gazetune_json
from tests.postgres import start_postgres

psycopg2 = pytest.importorskip("psycopg2")

PASSWORD = "the password of a test"
WRITERS = Path(__file__).parents[1] / "study_writers.py"
OPENERS = Path(__file__).parents[1] / "study_openers.py"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start a server on a free port and return `HOST:PORT`; its user `tester` has the password in PGPASSWORD."""
    with start_postgres(PASSWORD) as address, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", PASSWORD)
        yield address


def execute(server: str, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(f"postgresql://tester@{server}/{database}")
    connection.autocommit = True  # a database cannot be made in a transaction
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the URL of an empty database of the test's own."""
    name = f"d{abs(hash(request.node.name))}"
    execute(server, f"CREATE DATABASE {name}")
    yield storage_url(f"postgresql://tester@{server}/{name}", "here")
    execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def refused(url: str, folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        check_study_storage(storage_url(url, "here"), "shared", folder)
    assert "\n" not in str(caught.value) and PASSWORD not in str(caught.value)
    return str(caught.value)


def tables(url: str) -> list[tuple[Any, ...]]:
    host, database = url.rpartition("@")[2].split("/")
    return execute(host, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database=database)


def test_sixteen_writers_at_once_lose_nothing(url: str, tmp_path: Path) -> None:
    open_shared_study(url, "shared", ["maximize"], tmp_path)
    subprocess.run([sys.executable, str(WRITERS), url, "shared", "16", "10"], check=True)
    study = find_study(url, "shared")
    assert study is not None
    trials = study.trials
    assert [trial.number for trial in trials] == list(range(160))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    written = [1000 * writer + turn for writer in range(16) for turn in range(10)]
    assert sorted(trial.value for trial in trials) == written
    for trial in trials:
        writer = trial.user_attrs["writer"]
        assert trial.intermediate_values == {step: writer + step / 100 for step in (10, 20, 30)}
        assert trial.value // 1000 == writer and "x" in trial.params


def test_drivers_and_onlookers_may_open_a_new_database_at_once(url: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(OPENERS), url, str(tmp_path), "4"], check=True)
    for number in range(4):
        assert find_study(url, f"s{number}") is not None


def test_asking_writes_nothing(url: str, tmp_path: Path) -> None:
    check_study_storage(url, "shared", tmp_path / "shared")
    assert find_study(url, "shared") is None
    assert tables(url) == [] and not list(tmp_path.iterdir())


def test_a_search_goes_on_with_its_study_and_another_one_is_refused(url: str, tmp_path: Path) -> None:
    space = read_space(find_space_file("smoke"), None, None, [f"search.storage={url}"])
    study = open_study("shared", space.config.search, tmp_path)
    study.tell(study.ask(), 0.5)
    left = propose_values(study.ask(), space)
    check_study_storage(url, "shared", tmp_path)
    again = open_study("shared", space.config.search, tmp_path)
    assert [trial.state.name for trial in again.trials] == ["COMPLETE", "RUNNING"]
    assert propose_values(optuna.Trial(again, again.trials[1]._trial_id), space) == left
    assert "has a study 'shared' of another search; choose another --name" in refused(url, tmp_path / "other")
    with pytest.raises(InputError, match="of another search"):
        (tmp_path / "other").mkdir()
        open_study("shared", space.config.search, tmp_path / "other")
    assert len(again.trials) == 2


def test_what_a_server_refuses_is_refused_in_one_line(server: str, url: str, tmp_path: Path) -> None:
    assert 'database "none" does not exist' in refused(f"postgresql://tester@{server}/none", tmp_path)
    execute(server, f"CREATE ROLE weak LOGIN PASSWORD '{PASSWORD}'")
    execute(server, "REVOKE CREATE ON SCHEMA public FROM PUBLIC", database=url.rpartition("/")[2])
    assert "the user may not create tables there" in refused(url.replace("tester@", "weak@"), tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PGPASSWORD", "another one")
        assert "password authentication failed" in refused(url, tmp_path)
        patch.delenv("PGPASSWORD")
        assert "no password supplied" in refused(url, tmp_path)
        with pytest.raises(InputError, match="no password supplied"):
            run_search("smoke", storage=tmp_path / "runs", overrides=[f"search.storage={url}"])
    assert tables(url) == [] and not list(tmp_path.iterdir())


def test_tables_of_another_optuna_are_refused(url: str, tmp_path: Path) -> None:
    open_shared_study(url, "other", ["maximize"], tmp_path)
    host, database = url.rpartition("@")[2].split("/")
    execute(host, "UPDATE alembic_version SET version_num = 'v2.6.0.a'", database=database)
    assert "upgrade" in refused(url, tmp_path / "shared")


@pytest.mark.long("rules")
def test_a_search_keeps_its_study_in_the_database(url: str, tmp_path: Path) -> None:
    study_url = url.replace("+psycopg2", "")
    smoke = ["search", "smoke", "--set", "resources.cpus_per_worker=2", "--set", f"search.storage={study_url}"]
    document = gazetune_json(*smoke, "--storage", tmp_path)
    study = find_study(url, "smoke")
    assert study is not None
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE"]
    assert [trial.value for trial in study.trials] == [trial["val_accuracy"] for trial in document["trials"]]
    assert not (tmp_path / "smoke" / "study.db").exists()
    again = gazetune(*smoke, "--name", "smoke", "--storage", tmp_path / "elsewhere")
    assert again.returncode == 2 and "has a study 'smoke' of another search" in again.stderr
    assert len(again.stderr.strip().splitlines()) == 1 and not (tmp_path / "elsewhere").exists()
