r"""Every cell that is missing is trained to its full budget and scored on test, as many at a time as there are slots.

::

    TrainJob --TrainingReport...--> done --> EvaluateJob --rewards--> test.parquet, cell.json, MLflow run ended
        \--JobFailure--> cell.json with the reason: the others go on
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gazetune.ablation.folder import AblationFolder
from gazetune.ablation.study.study import Cell, Study, control_of
from gazetune.config import is_control
from gazetune.config.config_file import dump_config, write_config
from gazetune.errors import RunError
from gazetune.evaluate.margins import Margins, margins_file, write_margins
from gazetune.evaluate.statistics import accuracy_interval
from gazetune.report.ablation_document import CellRecord
from gazetune.report.wording import resume_ablation_command
from gazetune.reward.data.dataset import PreparedData
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.tracking.mlflow_runs import BEST_METRIC, Tracker
from gazetune.trials.disk import drop_model
from gazetune.trials.jobs import JobQueue
from gazetune.trials.ledger import fingerprint_tags, log_report, log_validation_margins
from gazetune.trials.messages import EvaluateJob, EvaluationResult, JobFailure, JobMessage, TrainingReport, TrainJob
from gazetune.trials.progress import ProgressDisplay
from gazetune.trials.slot_pool import SlotPool

_TEST = "test-"
"""What the id of an evaluation begins with; that of its cell follows."""


@dataclass
class _Progress:
    """What is known of a cell that runs."""

    run: str
    """Id of its MLflow run."""
    last: TrainingReport | None = None
    curve: list[tuple[int, float]] = field(default_factory=list)
    """Training examples and validation accuracy at each evaluation that this driver saw."""


class CellPhase:
    """The cells of one ablation that are not COMPLETE yet."""

    def __init__(
        self,
        study: Study,
        folder: AblationFolder,
        tracker: Tracker,
        parent_run: str,
        progress: ProgressDisplay,
        data: Sequence[PreparedData],
    ) -> None:
        """`data` are all data sets of the study."""
        self._study, self._folder, self._tracker = study, folder, tracker
        self._parent_run, self._progress = parent_run, progress
        self._fingerprints = tuple(dict.fromkeys(each.facts.data_fingerprint for each in data))
        complete = folder.read_complete_cells(study)
        self.missing = tuple(cell for cell in study.cells if cell.id not in complete)
        """The cells that are to be run, in their order."""
        self._running: dict[str, _Progress] = {}

    def announce(self) -> None:
        """Say which cells stand already, and which are run again."""
        self._folder.requests.announce_driver(0)
        self._folder.requests.announce_phase("running")
        done = len(self._study.cells) - len(self.missing)
        if done:
            self._progress.print_line(f"{done} of {len(self._study.cells)} cells are finished")
        for cell in self.missing:
            before = self._folder.read_cell(cell)
            if before is not None and before.state == "COMPLETE":
                gone = margins_file(self._folder.trial_folder(cell.id), "test")
                self._progress.print_line(f"cell {cell.label} is run again: {gone} is not there")

    def run(self, slots: SlotPool) -> None:
        """Run all missing cells.

        Raises
        ------
        RunError
            When no slot can be kept up any more.
        KeyboardInterrupt
            When somebody asked for a stop.
        """

        def check_interrupted() -> None:
            if slots.fatal_reason is not None:
                resume = resume_ablation_command(self._study.name, self._folder.path.parent)
                raise RunError(f"ablation '{self._study.name}' ended as {slots.fatal_reason}; go on with: {resume}")
            if self._folder.requests.is_stop_requested(None):
                raise KeyboardInterrupt

        self._progress.print_stage("training the cells")
        queue = JobQueue(slots.board, check_interrupted)
        cells = {cell.id: cell for cell in self.missing}
        for cell in self.missing:
            queue.submit(TrainJob(cell.id, cell.config, self._folder.trial_folder(cell.id), self._fingerprints, ()))
        # In a thread of its own: a signal interrupts the main thread, and a database in the middle of a write with it.
        with ThreadPoolExecutor(max_workers=1) as books:
            while (received := queue.next_message()) is not None:
                job, message = received
                cell = cells[job.id.removeprefix(_TEST)]
                books.submit(self._write_down, cell, message).result()
                if isinstance(message, TrainingReport):
                    if message.done:
                        model = self._folder.trial_folder(cell.id) / "best"
                        queue.submit(EvaluateJob(f"{_TEST}{cell.id}", cell.config, model, "test"))
                    continue
                slots.finish_job(job.id)

    def _write_down(self, cell: Cell, message: JobMessage) -> None:
        """Write what a message says of a cell; its first one starts its MLflow run."""
        running = self._running.get(cell.id) or self._start(cell)
        if isinstance(message, TrainingReport):
            self._add_report(cell, running, message)
            return
        if isinstance(message, JobFailure):
            self._end_failed(cell, running, message.reason)
        else:
            self._end_complete(cell, running, message)
        self._running.pop(cell.id)

    def _start(self, cell: Cell) -> _Progress:
        """Write down a cell whose first message has come."""
        write_config(cell.config, self._folder.trial_folder(cell.id) / "config.yaml")
        facts = prepare_data(cell.config, self._folder.cache).facts
        tags = {
            "gazetune.arm": cell.arm,
            **fingerprint_tags(facts.data_fingerprint, facts.gaze_fingerprint),
            **facts.count_tags(),
        }
        if is_control(control_of(cell.config)):
            tags["gazetune.control"] = cell.config.gaze.control
        params = {**self._study.params_of(cell.arm), "train.seed": cell.seed}
        run = self._tracker.start_trial(
            self._parent_run, cell.id, params, dump_config(cell.config), tags, f"{cell.arm} seed={cell.seed}"
        )
        self._running[cell.id] = _Progress(run)
        self._progress.show_start(cell.label, is_control(control_of(cell.config)))
        return self._running[cell.id]

    def _add_report(self, cell: Cell, running: _Progress, report: TrainingReport) -> None:
        running.last = report
        running.curve.append((report.examples, report.metrics["val/accuracy"]))
        log_report(self._tracker, running.run, report)
        self._progress.show_evaluation(cell.label, report.examples, report.budget, report.val_accuracy)

    def _end_complete(self, cell: Cell, running: _Progress, result: EvaluationResult) -> None:
        """Write what a cell reached on test, its model gone unless the study keeps it."""
        assert running.last is not None
        data, last = prepare_data(cell.config, self._folder.cache), running.last
        margins = Margins.of_split(data, "test", result.rewards)
        correct = margins.correctness
        accuracy = float(correct.mean())
        if accuracy != accuracy:  # NaN: rewards that are no numbers say nothing
            self._end_failed(cell, running, "the saved model gives rewards on test that are no numbers")
            return
        folder = self._folder.trial_folder(cell.id)
        write_margins(margins_file(folder, "test"), margins)
        self._tracker.log_file(running.run, margins_file(folder, "test"), "test")
        log_validation_margins(self._tracker, running.run, folder, cell.config, self._folder.cache)
        self._tracker.log_test(running.run, accuracy, len(correct), accuracy_interval(correct), last.step)
        self._tracker.log_metrics(running.run, {BEST_METRIC: last.val_accuracy}, last.step)
        self._tracker.finish_run(running.run, "COMPLETE", None)
        self._folder.write_curve(cell.id, running.curve)
        self._folder.write_cell(_make_record(cell, running, accuracy, None))
        self._clear(cell)
        if not self._study.keep_models:
            drop_model(folder)
        self._progress.show_end(cell.label, "COMPLETE", last.val_accuracy, f"test accuracy {accuracy:.3f}")

    def _end_failed(self, cell: Cell, running: _Progress, reason: str) -> None:
        self._tracker.finish_run(running.run, "FAIL", reason)
        self._folder.write_cell(_make_record(cell, running, None, reason))
        self._clear(cell)
        drop_model(self._folder.trial_folder(cell.id))
        accuracy = None if running.last is None else running.last.val_accuracy
        self._progress.show_end(cell.label, "FAIL", accuracy, reason)

    def _clear(self, cell: Cell) -> None:
        """Remove the checkpoint of a cell that has ended; a killed save leaves hidden ones."""
        folder = self._folder.trial_folder(cell.id)
        for left in (folder / "last", *folder.glob(".last.*")):
            shutil.rmtree(left, ignore_errors=True)


def _make_record(cell: Cell, running: _Progress, accuracy: float | None, reason: str | None) -> CellRecord:
    last = running.last
    return CellRecord(
        id=cell.id,
        arm=cell.arm,
        seed=cell.seed,
        state="COMPLETE" if reason is None else "FAIL",
        test_accuracy=accuracy,
        val_accuracy=None if last is None else last.val_accuracy,
        examples=0 if last is None else last.examples,
        seconds=0.0 if last is None else last.train_seconds,
        mlflow_run=running.run,
        reason=reason,
    )
