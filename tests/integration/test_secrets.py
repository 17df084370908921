"""A password in an address is used and stands nowhere afterwards: a canary is looked for in all that a run leaves."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from gazetune.config.config_file import load_config
from tests.commands import gazetune
from tests.mlflow_server import start_mlflow_server
from tests.postgres import program, start_postgres

psycopg2 = pytest.importorskip("psycopg2")

CANARY = "Canary-%7e9!x"
"""With letters that have to be percent-encoded in a URL."""
ENCODED = quote(CANARY, safe="")
SMALL = ("--set", "data.source=planted", "--set", "data.pairs=60", "--set", "gaze.predictor=planted")


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """Return `HOST:PORT` of a server with an empty database `runs`, whose user has the canary as password."""
    with start_postgres(CANARY) as address:
        host, _, port = address.partition(":")
        connection = psycopg2.connect(host=host, port=port, user="tester", password=CANARY, dbname="postgres")
        connection.autocommit = True
        connection.cursor().execute("CREATE DATABASE runs")
        connection.close()
        yield address


def where_it_stands(*folders: Path) -> list[str]:
    """Return the files below these folders, by content or name, that hold the canary in any of its forms."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert files
    return [str(file) for file in files if "Canary" in file.name or b"Canary" in file.read_bytes()]


def dump(postgres: str) -> str:
    """Return all that is in the database, as SQL."""
    host, _, port = postgres.partition(":")
    command = [program("pg_dump"), "-h", host, "-p", port, "-U", "tester", "runs"]
    environment = {**os.environ, "PGPASSWORD": CANARY}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize(
    ("driver", "workers"),
    [("postgresql", "1"), pytest.param("postgresql+psycopg", "2", marks=pytest.mark.long("training"))],
)
def test_a_trained_model_and_its_runs_in_postgresql_hold_no_password(
    driver: str, workers: str, postgres: str, tmp_path: Path
) -> None:
    """The documented form, and one that names a driver which is not installed, both connect with what the extra has."""
    runs, uri = tmp_path / "runs", f"{driver}://tester:{ENCODED}@{postgres}/runs"
    name = driver.replace("+", "-")
    train = ["train", *SMALL, "--name", name, "--storage", runs, "--set", f"resources.workers={workers}"]
    done = gazetune(*train, "--verbose", "--tracking-uri", uri, "--json", PGPASSWORD="")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Canary" not in done.stderr + done.stdout
    assert "its password is used" in done.stderr
    assert where_it_stands(tmp_path) == []
    sql = dump(postgres)
    assert f"{driver}://tester@{postgres}/runs" in sql and "Canary" not in sql
    assert load_config(runs / name / "best" / "config.yaml").tracking.uri == f"{driver}://tester@{postgres}/runs"


@pytest.mark.long("rules")
def test_a_search_and_its_ray_hold_no_password_and_it_goes_on_with_one_of_the_environment(
    postgres: str, tmp_path: Path
) -> None:
    runs, uri = tmp_path / "runs", f"postgresql://tester:{ENCODED}@{postgres}/runs"
    ray = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
    search = ["search", "smoke", "--set", "resources.cpus_per_worker=2", "--storage", runs]
    endpoint = f"https://me:{ENCODED}@127.0.0.1:1"
    done = gazetune(*search, f"--tracking-uri={uri}", "--json", RAY_TMPDIR=str(ray), HF_ENDPOINT=endpoint)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Canary" not in done.stderr + done.stdout
    assert where_it_stands(runs, ray) == []
    assert "Canary" not in dump(postgres)
    more = ["search", "--resume", "smoke", "--storage", runs, "--max-hours", "2"]
    (runs / "smoke" / "search.json").unlink()  # as if it had been stopped in its comparison
    without = gazetune(*more, PGPASSWORD="")
    assert without.returncode == 2 and len(without.stderr.strip().splitlines()) == 1
    assert "no password supplied" in without.stderr and "taken from PGPASSWORD" in without.stderr
    resumed = gazetune(*more, PGPASSWORD=CANARY)
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert "Canary" not in resumed.stderr and where_it_stands(runs) == []


def test_a_run_at_an_mlflow_server_holds_no_password(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    with start_mlflow_server(tmp_path / "server") as server:
        uri = f"http://me:{ENCODED}@{server}"
        done = gazetune("train", *SMALL, "--storage", tmp_path / "runs", "--verbose", "--tracking-uri", uri)
        assert done.returncode == 0, done.stderr[-3000:]
    assert "Canary" not in done.stderr + done.stdout
    assert where_it_stands(tmp_path) == []
    config = next((tmp_path / "runs").glob("*/best/config.yaml"))
    assert load_config(config).tracking.uri == f"http://{server}"
