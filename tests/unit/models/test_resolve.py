"""Which folder a name means: a saved model, a run, a trial of a search by its rank, or an MLflow run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gazetune.errors import InputError
from gazetune.models.resolve import resolve_saved_model
from gazetune.report.document import BestRecord, SearchDocument, TrialRecord, TrialState
from gazetune.search.folder import SearchFolder
from gazetune.tracking.mlflow_runs import Tracker

RESULTS: dict[str, tuple[TrialState, float | None]] = {
    "0000": ("COMPLETE", 0.70),
    "0001": ("PRUNED", 0.90),
    "0002": ("COMPLETE", 0.80),
    "0003": ("FAIL", None),
    "0004": ("COMPLETE", 0.75),
}
RANKED = ["0002", "0004", "0000", "0001", "0003"]
"""As the table of the search has them: COMPLETE ones first, then by accuracy."""


def save(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name in ("config.yaml", "rewards.npy", "weights.safetensors"):
        (folder / name).touch()
    return folder


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def search(storage: Path) -> SearchFolder:
    """A finished search as the driver leaves it; the models of trials 0002, 0004 and 0001 were kept."""
    folder = SearchFolder(storage / "demo")
    for trial in RESULTS:
        (folder.trial_folder(trial) / "margins").mkdir(parents=True)
    for trial in ("0001", "0002", "0004"):
        save(folder.trial_folder(trial) / "best")
    folder.write_parent_run("f" * 32)
    trials = tuple(
        TrialRecord(trial, state, {"fusion.kind": "add", "gaze.features": ["TRT"]}, 64, accuracy, 1.0, f"{trial:0>32}")
        for trial, (state, accuracy) in RESULTS.items()
    )
    document = SearchDocument(
        name="demo",
        storage=str(folder.path),
        tracking_uri="sqlite:///mlflow.db",
        mlflow_parent_run="f" * 32,
        trials=trials,
        best=BestRecord("0002", {}, 0.80, None),
        baselines={},
        report=str(folder.report),
    )
    assert [trial.id for trial in document.rank_trials()] == RANKED
    folder.write_document(document.to_json_text())
    return folder


def test_a_folder_a_run_and_a_name_mean_the_same_model(storage: Path) -> None:
    best = save(storage / "mine" / "best")
    (best.parent / "config.yaml").touch()  # a run has one too
    for name in (best, str(best), str(best.parent), "mine"):
        assert resolve_saved_model(name, storage) == best


def test_an_id_is_the_trial_with_that_id_and_not_that_rank(search: SearchFolder, storage: Path) -> None:
    assert resolve_saved_model("demo:0001", storage) == search.trial_folder("0001") / "best"
    assert resolve_saved_model("demo:1", storage) == search.trial_folder("0002") / "best"
    with pytest.raises(InputError, match=r"^trial demo:0000: .*0000 has no saved model"):
        resolve_saved_model("demo:0000", storage)


def test_a_folder_without_margins_is_a_model(storage: Path) -> None:
    best = save(storage / "mine" / "best")
    (best / "rewards.npy").unlink()
    assert resolve_saved_model(best, storage) == best


def test_a_model_whose_replacement_was_killed_is_found(tmp_path: Path) -> None:
    save(tmp_path / "mine" / ".best.previous")
    assert resolve_saved_model("mine", tmp_path) == tmp_path / "mine" / "best"


def test_a_search_means_its_best_trial(search: SearchFolder, storage: Path) -> None:
    assert resolve_saved_model("demo", storage) == search.trial_folder("0002") / "best"
    assert resolve_saved_model(search.path, storage) == search.trial_folder("0002") / "best"


def test_a_confirmed_search_means_its_kept_model_and_its_trial_has_rank_1(search: SearchFolder, storage: Path) -> None:
    document = json.loads(search.document.read_text())
    best = {**document["best"], "id": "0004"}
    kept = save(search.baseline_folder("winner-ab12cd34") / "best")
    confirmation = {"model": "baselines/winner-ab12cd34"}
    search.write_document(json.dumps({**document, "best": best, "confirmation": confirmation}))
    assert resolve_saved_model("demo", storage) == resolve_saved_model("demo:1", storage) == kept
    assert resolve_saved_model("f" * 32, storage) == kept, "the run of the search"
    assert resolve_saved_model("demo:2", storage) == search.trial_folder("0002") / "best"
    assert resolve_saved_model(f"{'0004':0>32}", storage) == search.trial_folder("0004") / "best", "the trial's own"
    search.write_document(json.dumps({**document, "confirmation": {"model": None}}))
    assert resolve_saved_model("demo:1", storage) == search.trial_folder("0002") / "best"


def test_a_search_without_a_best_trial_is_refused(search: SearchFolder, storage: Path) -> None:
    document = json.loads(search.document.read_text())
    search.write_document(json.dumps({**document, "best": None}))
    with pytest.raises(InputError, match="demo: this search has no best trial"):
        resolve_saved_model("demo", storage)


@pytest.mark.parametrize(("rank", "trial"), [(1, "0002"), (2, "0004"), (4, "0001")])
def test_a_rank_is_that_of_the_table_and_rank_1_is_the_winner(
    rank: int, trial: str, search: SearchFolder, storage: Path
) -> None:
    best = search.trial_folder(trial) / "best"
    assert resolve_saved_model(f"demo:{rank}", storage) == best
    assert resolve_saved_model(f"{search.path}:{rank}", Path("elsewhere")) == best


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("demo:3", "demo:3: this search keeps no model of that rank; accepted: rank 1, 2, 4"),
        ("demo:6", "demo:6: this search has 5 trials; accepted: rank 1, 2, 4"),
        ("demo:0", "demo:0: this search has 5 trials; accepted: rank 1, 2, 4"),
        ("other:1", "'other:1' is no saved model; accepted: .*demo"),
        ("a" * 32, f"'{'a' * 32}' is no saved model; accepted: .*demo"),
        (f"{'0000':0>32}", "MLflow run '0+': .*0000 has no saved model"),
    ],
)
def test_what_is_not_there_is_one_line_with_what_is(
    name: str, problem: str, search: SearchFolder, storage: Path
) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        resolve_saved_model(name, storage)
    assert "\n" not in str(caught.value)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("nothing", str(tmp_path / "file"), str(tmp_path)):
        with pytest.raises(InputError, match=rf"'{name}' is no saved model; accepted: .* in {tmp_path} \(none\)"):
            resolve_saved_model(name, tmp_path)


def test_the_run_of_a_finished_search_or_of_its_trials_is_found_without_mlflow(
    search: SearchFolder, storage: Path
) -> None:
    assert resolve_saved_model("f" * 32, storage) == search.trial_folder("0002") / "best"
    assert resolve_saved_model(f"{'0004':0>32}", storage) == search.trial_folder("0004") / "best"


def test_runs_of_an_unfinished_search_are_found_in_the_tracking_database(storage: Path) -> None:
    storage.mkdir()
    tracker = Tracker.open(None, storage, "gazetune")
    train = tracker.start_search("mine", "", {}, {"role": "train"})
    save(storage / "mine" / "best")
    (storage / "mine" / "mlflow_run").write_text(train)
    search = SearchFolder(storage / "demo")
    parent = tracker.start_search("demo", "", {}, {})
    save(search.trial_folder("0003") / "best")
    search.write_parent_run(parent)
    trial = tracker.start_trial(parent, "0003", {}, "", {})
    baseline = tracker.start_trial(parent, "no-gaze-1f", {}, "", {"role": "baseline"})
    save(search.baseline_folder("no-gaze-1f") / "best")
    assert resolve_saved_model(train, storage) == storage / "mine" / "best"
    assert resolve_saved_model(trial, storage) == search.trial_folder("0003") / "best"
    assert resolve_saved_model(baseline, storage) == search.baseline_folder("no-gaze-1f") / "best"
    with pytest.raises(InputError, match=f"'{'a' * 32}' is no saved model"):
        resolve_saved_model("a" * 32, storage)
    with pytest.raises(InputError, match=f"'{parent}' is no saved model"):
        resolve_saved_model(parent, storage)
    shutil.rmtree(search.trial_folder("0003"))
    with pytest.raises(InputError, match=f"MLflow run '{trial}': .*0003 has no saved model"):
        resolve_saved_model(trial, storage)
