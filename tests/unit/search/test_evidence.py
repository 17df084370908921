"""The report of a search from its folder: nothing is trained, the study is written as a driver writes it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from gazetune.cli.main import main
from gazetune.config.config_file import write_config
from gazetune.errors import InputError
from gazetune.evaluate.margins import Margins, margins_file, write_margins
from gazetune.report.document import BaselineRecord, BestRecord, SearchDocument, TestRecord
from gazetune.search.evidence import read_evidence
from gazetune.search.folder import SearchFolder
from gazetune.search.space.search_space import SearchSpace
from gazetune.search.space.space_file import read_space
from gazetune.search.study.constrained_sampling import propose_values
from gazetune.search.study.finished_trials import trial_records
from gazetune.search.study.own_trials import TAKEN_FROM
from gazetune.search.study.storage import open_study
from gazetune.trials.messages import STOPPED_AT, StudyRecord
from gazetune.trials.run_folder import RunFacts

SPACE = """
name: small
base: {data: {source: planted, pairs: 900}, backbone: tiny, gaze: {predictor: planted}}
space:
  fusion.kind: {choice: [none, add]}
  gaze.features: {subsets: [FFD, TRT], when: fusion.kind != none}
search: {trials: 6, rungs: 100}
"""
RUNGS = (100, 300, 900)
MARKUP = "<script>alert(1)</script>"


@pytest.fixture
def space(tmp_path: Path) -> SearchSpace:
    (tmp_path / "given.yaml").write_text(SPACE)
    return read_space(tmp_path / "given.yaml")


@pytest.fixture
def begin(space: SearchSpace, tmp_path: Path) -> Callable[..., SearchFolder]:
    """Return a maker of a search whose driver works: trials PRUNED, FAIL, COMPLETE, and one that runs."""

    def make(running: bool = False) -> SearchFolder:
        folder = SearchFolder.create(tmp_path / "runs", space)
        folder.write_facts(RunFacts("pairs", RUNGS[-1]))
        study = open_study(space.name, space.config.search, folder.path)
        study.sampler = optuna.samplers.RandomSampler(seed=0)
        study.add_trial(optuna.trial.create_trial(value=0.5, user_attrs={TAKEN_FROM: "earlier:0003"}))
        ends = [(1, TrialState.PRUNED), (0, TrialState.FAIL), (3, TrialState.COMPLETE), (3, TrialState.COMPLETE)]
        for number, (rungs, state) in enumerate([*ends, (1, TrialState.RUNNING)] if running else ends, start=1):
            trial = study.ask()
            config = space.trial_config(propose_values(trial, space))
            write_config(config, folder.trial_folder(f"{number:04d}") / "config.yaml")
            values = [0.5 + 0.05 * number + 0.01 * place for place in range(rungs)]
            for examples, value in zip(RUNGS, values, strict=False):
                trial.report(value, examples)
            params = {"fusion.kind": "add", "gaze.features": ["FFD", "TRT"], "data.source": MARKUP}
            reason = {TrialState.PRUNED: f"{STOPPED_AT}100 examples", TrialState.FAIL: f"{MARKUP} at step 2"}.get(state)
            StudyRecord(
                params, "run", (0, *RUNGS)[rungs], 3.0 * rungs, 0.0, values[-1] if values else None, True, reason
            ).write(trial)
            if state != TrialState.RUNNING:
                study.tell(trial, values[-1] if state == TrialState.COMPLETE else None, state=state)
        return folder

    return make


def finish(folder: SearchFolder, space: SearchSpace) -> None:
    """Write what the end of a search leaves: the document, and the margins of the best trial."""
    study = open_study(space.name, space.config.search, folder.path)
    trials = trial_records(study, space)
    best = trials[-1]
    compared = BaselineRecord(0.5, 90, (0.4, 0.6), 0.2, (0.1, 0.3), 0.01)
    document = SearchDocument(
        name=space.name,
        storage=str(folder.path),
        tracking_uri="sqlite:///x",
        mlflow_parent_run="parent",
        trials=trials,
        best=BestRecord(best.id, best.params, best.val_accuracy or 0.0, TestRecord(0.7, 90, (0.6, 0.8))),
        baselines={"no_gaze": compared, "shorter": None},
        report=str(folder.report),
    )
    random, names = np.random.default_rng(0), np.arange(80).astype(str)
    words = random.integers(5, 50, (80, 2)).astype(np.int32)
    for split in ("validation", "test"):
        kept = Margins(names, names, random.normal([0.9, 0.1], 1.0, (80, 2)), words)
        write_margins(margins_file(folder.trial_folder(best.id), split), kept)
    (folder.trial_folder(best.id) / "margins" / "900").mkdir(parents=True)
    (folder.baseline_folder("winner-1234") / "best").mkdir(parents=True)
    (folder.baseline_folder("winner-1234") / "best" / "config.yaml").write_text("{}\n")
    folder.write_document(document.to_json_text())
    folder.unlock()


def test_a_finished_search_has_curves_rungs_margins_and_commands(
    begin: Callable[..., SearchFolder], space: SearchSpace, tmp_path: Path
) -> None:
    folder = begin()
    finish(folder, space)
    evidence = read_evidence(tmp_path / "runs", "small")
    assert evidence.state == "finished" and evidence.document.best is not None
    assert [len(curve.points) for curve in evidence.curves] == [1, 0, 3, 3]
    assert evidence.rungs == (100, 300)
    assert evidence.learned_from == {"earlier": 1}
    (scored,) = evidence.scored
    assert scored.split == "test" and scored.words is not None and len(scored.margins) == 80
    assert [line for line, _ in evidence.commands] == ["the whole search", "winner-1234, trained to compare with"]
    storage = f"--storage {tmp_path / 'runs'}"
    assert evidence.trial_commands["0003"] == f"gazetune train {folder.trial_folder('0003')}/config.yaml {storage}"
    assert evidence.trial_commands["0004"] == f"gazetune reproduce small:0004 {storage}", "it has its evaluations"


def test_the_files_of_a_finished_search_have_all_parts_and_no_text_of_the_user_is_markup(
    begin: Callable[..., SearchFolder], space: SearchSpace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = begin()
    finish(folder, space)
    folder.report.write_text("the search's own")
    assert main(["report", "small", "--storage", str(tmp_path / "runs"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["state"] == "finished" and told["html"] == str(folder.path / "report.html")
    assert folder.report.read_text() == "the search's own"
    page = Path(told["html"]).read_text()
    assert page.index("Gaze helps") < page.index("<svg")
    # masks and means are left out with a reason: all trials have one mask, and the document has no means
    assert page.count("<svg") == 7 and "There are not two masks of measures to compare." in page
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; at step 2" in page.replace("<wbr>", "")
    assert "1 COMPLETE trials of the search &#x27;earlier&#x27;" in page
    rows = list(csv.DictReader(io.StringIO(Path(told["csv"]).read_text())))
    assert [row["trial"] for row in rows] == ["0004", "0003", "0001", "0002"]
    assert rows[0]["data.source"] == MARKUP and json.loads(rows[0]["gaze.features"]) == ["FFD", "TRT"]
    latex = Path(told["latex"]).read_text()
    assert r"\textless{}script\textgreater{}" in latex and latex.count(r"\begin{tabular}") >= 6


@pytest.mark.parametrize("running", [True, False])
def test_a_search_that_is_not_over_has_a_report_of_what_there_is(
    running: bool, begin: Callable[..., SearchFolder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = begin(running=True)
    if not running:
        folder.unlock()
    out = tmp_path / "out"
    assert main(["report", "small", "--storage", str(tmp_path / "runs"), "--out", str(out)]) == 0
    assert capsys.readouterr().out.split() == [
        str(out / name) for name in ("report.html", "report.md", "report.tex", "trials.csv")
    ]
    page = (out / "report.html").read_text()
    told = "This search still runs: 4 of 6 trials are over" if running else "This search was stopped: 4 of 6 trials"
    assert told in page and told in (out / "report.md").read_text()
    assert "No trial ran its full budget" not in page
    assert not folder.report.exists()


def test_a_search_of_an_older_version_has_a_report(
    begin: Callable[..., SearchFolder], space: SearchSpace, tmp_path: Path
) -> None:
    folder = begin()
    finish(folder, space)
    stored = json.loads(folder.document.read_text())
    for name in (
        "controls",
        "diagnostics",
        "pareto",
        "importance_by_measure",
        "means_by_value",
        "confirmation",
        "data",
    ):
        stored.pop(name, None)
    for trial in stored["trials"]:
        del trial["control"]
    folder.document.write_text(json.dumps(stored))
    trial = folder.trial_folder("0004")
    (trial / "test.parquet").unlink(), (trial / "validation.parquet").unlink()
    (trial / "best").mkdir()
    np.save(trial / "best" / "margins.npy", np.linspace(-1.0, 2.0, 30, dtype=np.float32))
    assert main(["report", "small", "--storage", str(tmp_path / "runs")]) == 0
    page = (folder.path / "report.html").read_text()
    assert "There are no means by value" in page and "on 30 validation pairs" in page
    assert "the lengths of the replies were not kept" in page


def test_a_finished_search_whose_study_is_gone_or_broken_has_a_report_without_curves(
    begin: Callable[..., SearchFolder], space: SearchSpace, tmp_path: Path
) -> None:
    folder = begin()
    finish(folder, space)
    (folder.path / "study.db").unlink()
    assert read_evidence(tmp_path / "runs", "small").no_curves == "the search has no study any more"
    (folder.path / "study.db").write_text("no database")
    assert "cannot be used" in read_evidence(tmp_path / "runs", "small").no_curves
    folder.document.unlink()
    with pytest.raises(InputError, match="cannot be used"):
        read_evidence(tmp_path / "runs", "small")


def test_a_name_that_is_not_there_and_a_document_that_is_none_are_refused_in_one_line(
    begin: Callable[..., SearchFolder], space: SearchSpace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = begin()
    finish(folder, space)
    storage = ["--storage", str(tmp_path / "runs")]
    assert main(["report", "smal", *storage]) == 2
    refused = capsys.readouterr().err.strip().splitlines()
    assert (
        len(refused) == 1 and "there is no search or ablation 'smal'" in refused[0] and "accepted: small" in refused[0]
    )
    folder.document.write_text('{"name": "small"')
    with pytest.raises(InputError, match=r"search\.json: Expecting"):
        read_evidence(tmp_path / "runs", "small")
    folder.document.write_text('{"name": "small"}')
    with pytest.raises(InputError, match=r"search\.json: storage is missing"):
        read_evidence(tmp_path / "runs", "small")
    (tmp_path / "file").write_text("")
    assert main(["report", "small", *storage, "--out", str(tmp_path / "file")]) == 2
