"""Names, paths and URLs as users write them: each works, or is refused in one line before anything is written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow import MlflowClient

from gazetune.cli.main import main
from gazetune.config.config_file import load_config, with_absolute_paths
from gazetune.errors import InputError
from gazetune.files.names import check_name
from gazetune.reward.data.prepared_data import preparation_key
from gazetune.search.space.study_url import storage_url
from gazetune.search.study.storage import check_study_storage, find_study, open_shared_study, own_study_url
from gazetune.tracking.location import check_tracking_uri, resolve_tracking_uri
from gazetune.tracking.mlflow_runs import Tracker
from tests.commands import gazetune_json

SMALL = ("train", "--set", "data.pairs=60", "--set", "gaze.predictor=planted", "--set", "train.batch_size=8")
MISSING = ("train", "--set", "data.source=no_such_file.jsonl")
"""A run whose addresses are looked at, and that then ends for its data."""
FOLDERS = ["percent%41x?y=1", "-h#ash br[a]{ck}ets* é", "quo'te\"back\\slash a@b:c+d"]

Refusal = Callable[..., str]


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Refusal:
    """Return a function that runs a command in an empty folder, which must refuse it and write nothing there."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> str:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse
            code = int(error.code or 0)
        said = capsys.readouterr().err.strip()
        assert code == 2 and len(said.splitlines()) == 1, said
        assert said.startswith("gazetune: error: ") and "unexpected" not in said
        assert list(tmp_path.iterdir()) == []
        return said.removeprefix("gazetune: error: ")

    return run


def test_a_run_in_a_folder_with_any_letters_has_its_runs_and_artifacts_there(tmp_path: Path) -> None:
    """D03, and a tracking file with a parameter of sqlite: D05."""
    storage = tmp_path / "percent%41x?#[1] é"
    train = [*SMALL, "--storage", storage]
    document = gazetune_json(*train, "--name", "r")
    assert Path(document["folder"]) == storage / "r"
    assert [item.name for item in tmp_path.iterdir()] == [storage.name], "and nothing beside it"
    files = {file.relative_to(storage / "mlartifacts").parts[2:] for file in (storage / "mlartifacts").rglob("*.*")}
    assert {("config.yaml",), ("margins", "validation.parquet"), ("margins", "test.parquet")} <= files
    client = MlflowClient(document["tracking_uri"])
    assert client.get_run(document["mlflow_run"]).data.tags["gazetune.state"] == "COMPLETE"
    artifacts = {file.path for file in client.list_artifacts(document["mlflow_run"])}
    assert artifacts == {"config.yaml", "environment.json", "margins"}
    other = gazetune_json(*train, "--name", "q", "--tracking-uri", f"sqlite:///{tmp_path}/q.db?timeout=60")
    assert other["tracking_uri"] == f"sqlite:///{tmp_path}/q.db?timeout=60"
    assert sorted(each.name for each in tmp_path.iterdir()) == [".q.db.lock", storage.name, "q.db"]


@pytest.mark.parametrize("name", FOLDERS)
def test_runs_and_studies_open_in_folders_with_any_letters(name: str, tmp_path: Path) -> None:
    storage = tmp_path / name
    storage.mkdir()
    tracker = Tracker.open(None, storage, "gazetune")
    run = tracker.start_search("mine", "a: 1\n", {}, {})
    assert [file.read_text() for file in storage.rglob("config.yaml")] == ["a: 1\n"]
    assert (storage / "mlflow.db").is_file()
    assert check_tracking_uri(tracker.uri, tmp_path) == tracker.uri
    given = f"sqlite:///{quote(str(storage / 'mlflow.db'))}?timeout=9"
    assert Tracker.open(given, tmp_path, "gazetune").list_ended_runs(run) == {}
    optuna.create_study(study_name="own", storage=own_study_url(storage).replace("{", "{{").replace("}", "}}"))
    assert find_study(own_study_url(storage), "own") is not None
    url = storage_url(f"sqlite:///{quote(str(storage / 'shared.db'))}?timeout=9", "here")
    check_study_storage(url, "shared", storage)
    open_shared_study(url, "shared", ["maximize"], storage)
    assert find_study(url, "shared") is not None and (storage / "shared.db").is_file()
    journal = storage_url(f"journal:{storage}/log", "here")
    open_shared_study(journal, "shared", ["maximize"], storage)
    assert find_study(journal, "shared") is not None and (storage / "log").is_file()
    assert [each.name for each in tmp_path.iterdir()] == [name], "nothing was made beside it"


def test_a_file_is_the_same_however_its_path_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    file = tmp_path / "folder" / "pairs.jsonl"
    file.write_text("{}")
    written = ["folder/pairs.jsonl", "~/folder/pairs.jsonl", "./folder/../link/pairs.jsonl", str(file)]
    configs = [load_config(None, [f"data.source={each}", f"gaze.store={each}"]) for each in written]
    assert {with_absolute_paths(config).data.source for config in configs} == {str(file)}
    assert {with_absolute_paths(config).gaze.store for config in configs} == {str(file)}
    keys = {preparation_key(config) for config in configs}
    assert len(keys) == 1
    file.write_text("{ }")  # the prepared data of a file that changed are others
    assert not keys & {preparation_key(config) for config in configs}
    uris = ["sqlite:///q.db", "sqlite:///~/q.db", "sqlite:///link/../q.db", f"sqlite:///{tmp_path}/q.db"]
    assert {resolve_tracking_uri(each, tmp_path) for each in uris} == {f"sqlite:///{tmp_path}/q.db"}
    assert resolve_tracking_uri(None, Path("~/link/")) == f"sqlite:///{tmp_path}/folder/mlflow.db"


def test_the_words_tiny_and_planted_are_no_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for word in ("tiny", "planted"):
        (tmp_path / word).mkdir()
    found = with_absolute_paths(load_config(None))
    assert (found.backbone, found.data.source) == ("tiny", "planted")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("x" * 250, "has 250 characters; accepted: 100 at most"),  # D11
        ("../x", "letters, digits, '.', '_' and '-' are"),
        ("a/b", "letters, digits, '.', '_' and '-' are"),
        ("/tmp/x", "letters, digits, '.', '_' and '-' are"),
        ("", "letters, digits, '.', '_' and '-' are"),
        ("..", "(the first a letter or a digit)"),
        ("-x", "(the first a letter or a digit)"),
        (".hidden", "(the first a letter or a digit)"),
        ("a\nb", "'a\\nb' is not accepted"),
        ("a:1", "letters, digits, '.', '_' and '-' are"),
        ("cache", "is what the storage folder calls a part of its own"),
        ("MLartifacts", "is what the storage folder calls a part of its own"),
    ],
)
def test_a_name_that_no_run_can_have_is_refused_before_anything_is_prepared(
    name: str, why: str, refusal: Refusal
) -> None:
    for command in (["train"], ["search", "smoke"]):
        said = refusal(*command, f"--name={name}", "--storage", "runs")
        assert said.startswith("--name: ") and why in said
    assert len(check_name("x" * 100, "--name")) == 100


@pytest.mark.parametrize(
    "name", ["x" * 250, ".", "/", "../x", "", "..", "a\nb", "a" * 5000, "x:" + "9" * 5000, "~nobody/x"]
)
def test_a_name_that_is_looked_up_is_not_there(name: str, refusal: Refusal) -> None:
    for command in (["status", name], ["stop", name], ["search", f"--resume={name}"]):
        assert "there is no search " in refusal(*command, "--storage", "runs")
    assert "is no saved model" in refusal("export", name, "--out", "out", "--storage", "runs")


@pytest.mark.parametrize(
    ("storage", "why"),
    [
        ("", "it is empty"),
        ("x" * 300, "it is too long: a name has at most 255 bytes"),
        ("a\x1bb", "'a\\x1bb' is not accepted: it has control characters"),
        ("~nobody-of-this-name/x", "there is no such user"),
        ("a\udcff", "it is not UTF-8"),
    ],
)
def test_a_path_that_no_file_can_have_is_refused(storage: str, why: str, refusal: Refusal) -> None:
    for command in (["train"], ["search", "smoke"], ["doctor"], ["status", "x"]):
        said = refusal(*command, f"--storage={storage}")
        assert said.startswith("argument --storage: ") and why in said
    with pytest.raises(InputError, match=r"^data\.source: "):
        with_absolute_paths(
            load_config(None).model_copy(update={"data": load_config(None).data.model_copy(update={"source": storage})})
        )


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("postgresql://me:se[]:=?cret@127.0.0.1:1/db", "postgresql://me:***@127.0.0.1:1/db': percent-encode the user"),
        ("postgresql://me:se/cr@et@127.0.0.1:1/db", "'postgresql://me:***@127.0.0.1:1/db': percent-encode the user"),
        ("postgresql://me:secret%21@127.0.0.1:1/db", "does not answer ([Errno 111] Connection refused)"),
        ("mysql://me:secret@127.0.0.1:1/db", "does not answer ([Errno 111] Connection refused)"),
        ("postgresql://me:secret", "'postgresql://me:***' cannot be read as the URL of a database"),
        ("sqlite:///q.db?tmeout=60", "'tmeout' is no parameter of a sqlite file; accepted: timeout, "),
        ("sqlite:///q.db?timeout=soon", "its parameters cannot be read"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite+other:///q.db", "is opened by Python's own driver"),
        (f"sqlite:///{'x' * 250}.db", "is too long"),
        ("sqlite:///", "names no file"),
        ("http://127.0.0.1:1?token=secret", "'http://127.0.0.1:1?token=***' has parameters"),
        ("http://me:se[cret@127.0.0.1:1", "must be percent-encoded"),
        ("http://ho st", "cannot be asked"),
        ("http://h:port", "is no URL"),
        ("http://", "names no host"),
        ("file:///x", "is no tracking URI; accepted: sqlite:///FILE, http://HOST:PORT, "),
        ("databricks", "is no tracking URI"),
        ("databricks://profile", "is no tracking URI"),
        ("", "is no tracking URI"),
    ],
)
def test_a_tracking_uri_that_cannot_be_used_is_refused_in_one_line(uri: str, why: str, refusal: Refusal) -> None:
    said = refusal(*MISSING, "--storage", "runs", f"--tracking-uri={uri}")
    assert said.startswith("tracking.uri") and why in said and "cret" not in said.replace("se[]", "")


def test_a_path_too_long_for_the_database_of_mlflow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"--storage: the path is too long for an MLflow database.* accepted: 157 at most"
    ):
        check_tracking_uri("postgresql://me@127.0.0.1:1/db", tmp_path / ("x" * 150))


ODD = st.one_of(
    st.text(max_size=30),
    st.text("./~-%?#[]{}:@ '\"\\", max_size=12),
    st.integers(240, 5000).map(lambda length: "n" * length),
    st.sampled_from(
        ["..", "~", "~root", "~nobody-here", "a/../b", "con\tnul\x00", "\udce9", "a" * 99 + "/", "cache", ".", "/"]
    ),
)
URLS = st.one_of(
    ODD,
    st.builds(
        "{}://{}{}127.0.0.1:1{}".format,
        st.sampled_from(
            ["postgresql", "postgresql+psycopg", "mysql", "mssql", "http", "https", "sqlite", "x+y", "file"]
        ),
        st.one_of(ODD.map(lambda text: f"me:{text}"), st.just("me"), st.just("")),
        st.sampled_from(["@", "", "/", "//"]),
        st.one_of(st.just("/db"), ODD, ODD.map(lambda text: f"/db?{text}={text}")),
    ),
    ODD.map(lambda text: f"sqlite:///{text}"),
    ODD.map(lambda text: f"journal:{text}"),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=ODD, path=ODD, url=URLS)
def test_no_name_path_or_url_ends_as_unexpected(
    name: str, path: str, url: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What is accepted ends at the data, which are not there."""
    os.chdir(tmp_path)
    commands = [
        ["train", f"--name={name}"],
        ["train", f"--storage={path}"],
        ["train", f"--out={path}"],
        ["train", f"--tracking-uri={url}"],
        ["train", "--set", f"gaze.store={json.dumps(url)}"],
        ["train", "--set", f"backbone={json.dumps(path)}"],
        ["search", "smoke", f"--name={name}", "--set", f"search.storage={json.dumps(url)}"],
    ]
    for command in commands:
        given_storage = any(each.startswith(("--storage", "--out")) for each in command)
        storage = [] if given_storage else ["--storage", "runs"]
        _check_refused([*command, *storage, "--set", "data.source=no_such_file.jsonl"], capfd)
    _check_refused(["train", "--storage", "runs", "--set", f"data.source={json.dumps(f'none{path}')}"], capfd)
    for lookup in (["status"], ["stop"], ["export", "--out", "out"]):
        _check_refused([*lookup, "--storage", "runs", "--", name], capfd)
    _check_refused(["search", f"--resume={name}", "--storage", "runs"], capfd)


def _check_refused(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(arguments)
    except SystemExit as error:  # argparse
        code = int(error.code or 0)
    said = capfd.readouterr().err.strip().splitlines()
    assert code == 2, (arguments, said)
    assert said[-1].startswith("gazetune: error: ") and "unexpected" not in said[-1], (arguments, said)
    assert "Traceback" not in "".join(said)
