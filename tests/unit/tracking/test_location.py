from __future__ import annotations

import base64
import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.tracking.location import check_tracking_uri, check_uri_answers, hide_password, resolve_tracking_uri
from gazetune.tracking.mlflow_runs import Tracker


def test_the_default_is_a_sqlite_file_in_the_storage_folder(tmp_path: Path) -> None:
    assert resolve_tracking_uri(None, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_the_default_of_a_relative_storage_folder_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_tracking_uri(None, Path("runs")) == f"sqlite:///{tmp_path}/runs/mlflow.db"


@pytest.mark.parametrize(
    "uri", ["ftp://host", "/some/folder", "file:///folder", "localhost:5000", "", "sqlite:mlflow.db"]
)
def test_other_kinds_of_uri_are_refused(uri: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tracking\.uri.*accepted: sqlite:///FILE"):
        resolve_tracking_uri(uri, tmp_path)


def test_a_database_with_a_driver_is_accepted(tmp_path: Path) -> None:
    assert resolve_tracking_uri("postgresql+psycopg2://h/d", tmp_path) == "postgresql+psycopg2://h/d"


def test_passwords_are_hidden_and_nothing_else() -> None:
    assert hide_password("postgresql://me:p@ss:1@host/db") == "postgresql://me:***@host/db"
    for uri in ("http://host:5000", "sqlite:////a/b@c/mlflow.db", "https://me@host"):
        assert hide_password(uri) == uri


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refused(uri: str) -> str:
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        check_uri_answers(uri)
    assert time.monotonic() - start < 6
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "postgresql", "mysql"])
def test_a_server_that_is_down_is_refused_in_seconds(scheme: str) -> None:
    said = refused(f"{scheme}://me:secret@127.0.0.1:{free_port()}/db")
    assert "does not answer" in said and "refused" in said and "secret" not in said


def test_a_server_that_accepts_and_never_answers_is_refused_in_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "does not answer" in refused(f"http://127.0.0.1:{silent.getsockname()[1]}")


def test_a_server_that_is_not_mlflow_is_refused(tmp_path: Path) -> None:
    class Files(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            assert "not as an MLflow server (HTTP 404" in refused(f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()


def test_a_server_gets_the_user_and_the_password_of_its_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")  # put back at the end
    seen: dict[str, str | None] = {}

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen[self.path.partition("?")[0]] = self.headers["Authorization"]
            known = "get-by-name" in self.path or self.path == "/health"
            self.send_response(200 if known else 404)
            self.end_headers()
            experiment = {"experiment_id": "7", "name": "mine", "lifecycle_stage": "active"}
            self.wfile.write(json.dumps({"experiment": experiment}).encode() if known else b"{}")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            tracker = Tracker.open(f"http://me:p%40ss@127.0.0.1:{server.server_port}", tmp_path, "mine")
        finally:
            server.shutdown()
    assert tracker.uri == tracker.shown_uri == f"http://127.0.0.1:{server.server_port}"
    given = base64.b64encode(b"me:p@ss").decode()
    assert seen["/health"] is None and seen["/api/2.0/mlflow/experiments/get-by-name"] == f"Basic {given}"


def test_a_token_in_the_place_of_a_user_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"a user without a password; accepted: both, or a token in MLFLOW_TRACKING_TOKEN"
    ):
        resolve_tracking_uri("https://token@host", Path())


def test_asking_for_a_sqlite_file_writes_nothing(tmp_path: Path) -> None:
    assert check_tracking_uri(None, tmp_path / "new" / "runs") == f"sqlite:///{tmp_path}/new/runs/mlflow.db"
    assert list(tmp_path.iterdir()) == []


def test_a_sqlite_file_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be used" in refused(f"sqlite:///{tmp_path}/file/mlflow.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("this is a text file, and a long one: longer than the sixteen bytes of a header" * 20)
    assert "not a database" in refused(f"sqlite:///{path}")


def test_a_folder_in_place_of_a_sqlite_file_is_refused(tmp_path: Path) -> None:
    assert "cannot be used" in refused(f"sqlite:///{tmp_path}")


def test_a_folder_without_write_access_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "read_only"
    folder.mkdir()
    folder.chmod(0o555)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write anywhere")
    assert "cannot be used" in refused(f"sqlite:///{folder}/mlflow.db")


def test_importing_the_package_is_cheap_and_turns_telemetry_off() -> None:
    code = (
        "import os, sys, gazetune.tracking.mlflow_runs;"
        "assert 'mlflow' not in sys.modules and 'ray' not in sys.modules;"
        "print(os.environ['MLFLOW_DISABLE_TELEMETRY'])"
    )
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_DISABLE_TELEMETRY"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "true"
