"""A folder of the study IFLLM to preference pairs with their reader, and the recorded gaze on both replies."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from gazetune.config import MEASURES
from gazetune.errors import InputError
from gazetune.eyetracking.ifllm.dwell import COARSE, LONGEST_SAMPLE, ReplyReading, read_reply
from gazetune.eyetracking.ifllm.find_samples import find_samples
from gazetune.eyetracking.ifllm.questions import Question, read_questions, reason_without_pair
from gazetune.eyetracking.ifllm.traces import Trace, read_trace
from gazetune.eyetracking.import_recordings import RECORDED_SCHEMA
from gazetune.eyetracking.reading_measures import convert_to_cmcl
from gazetune.files.atomic_write import write_files_atomically
from gazetune.gaze.words import text_key, word_spans

PAIRS, GAZE, REPORT = "pairs.jsonl", "gaze.parquet", "report.json"
_TRACES = ("rel_gaze_one.csv", "rel_gaze_two.csv")
_STRICTER = (1, 10, 30)
"""Samples on each reply for which the report says how many pairs have them."""
_SIDE_NAMES = ("left", "right")


@dataclass(frozen=True, slots=True)
class QualityGates:
    """What a pair needs to be used."""

    min_samples: int = 1
    """Fewest samples on both replies together. A pair that was looked at on one side alone stays: that is a fact."""
    min_seen: float = 0.0
    """Smallest share of each reply that was looked at, in stretches of 30 characters."""
    min_pairs: int = 1
    """Fewest pairs of a reader that keep the other two."""

    def __post_init__(self) -> None:
        checks = (
            ("min_samples", self.min_samples, self.min_samples >= 0, "0 or more"),
            ("min_seen", self.min_seen, 0 <= self.min_seen <= 1, "a share from 0 to 1"),
            ("min_pairs", self.min_pairs, self.min_pairs >= 1, "1 or more"),
        )
        for name, value, good, accepted in checks:
            if not good:
                raise InputError(f"{name}: {value}; accepted: {accepted}")


@dataclass(slots=True)
class IfllmReport:
    """What was imported, and what was not and why."""

    out: str
    units: str
    questions: int = 0
    """Rows of the table."""
    pairs: int = 0
    readers: int = 0
    both_seen: float = 0.0
    """Share of the pairs with a sample on each reply."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Questions that give no pair, by reason."""
    samples: int = 0
    """On the replies of the pairs."""
    samples_left_out: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    """Mean time on a reply."""
    seen: float = 0.0
    """Mean share of a reply that was looked at."""
    interval_ms: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Quartiles of the time from one sample to the next."""
    coarse: tuple[str, ...] = COARSE
    """Measures that need a finer rate than this: they are of visits, not of fixations."""
    stricter: dict[str, int] = field(default_factory=dict)
    """Pairs that stricter gates would leave."""
    notes: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """Return the report as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _PairReading:
    question: Question
    replies: tuple[ReplyReading, ReplyReading]

    @property
    def fewest_samples(self) -> int:
        return min(each.samples for each in self.replies)

    @property
    def least_seen(self) -> float:
        return min(each.seen for each in self.replies)


def import_ifllm(
    folder: Path, out: Path, gates: QualityGates | None = None, units: Literal["cmcl", "ms"] = "cmcl"
) -> IfllmReport:
    """Write `pairs.jsonl`, `gaze.parquet` and `report.json` of a folder of the study IFLLM to the folder `out`.

    Raises
    ------
    InputError
        If a file is wrong, no pair is left, or `out` cannot be written. Nothing is written then.
    """
    gates = gates or QualityGates()
    report = IfllmReport(str(out), units)
    dropped: Counter[str] = Counter()
    questions = read_questions(folder, dropped)
    report.questions = len(questions) + dropped.total()
    kept = _apply_gates(_read_sessions(folder, questions, dropped, report), gates, dropped)
    report.dropped = dict(dropped)
    if not kept:
        counts = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "the table is empty"
        raise InputError(f"{folder}: no pair is left ({counts})")
    _describe(kept, report)
    _write_files(out, kept, units, report)
    return report


def _read_sessions(
    folder: Path, questions: Sequence[Question], dropped: Counter[str], report: IfllmReport
) -> list[_PairReading]:
    """Return the readings of all questions that give a pair, session by session; what else there is, is counted."""
    sessions: dict[tuple[str, str], list[Question]] = {}
    for question in questions:
        sessions.setdefault(question.session, []).append(question)
    left_out: Counter[str] = Counter()
    intervals: list[NDArray[np.float64]] = []
    readings = []
    unreadable = 0
    for (reader, task), asked in sessions.items():
        traces = [read_trace(folder / "user_behavior" / reader / task / name) for name in _TRACES]
        unreadable += sum(trace.unreadable for trace in traces if trace is not None)
        intervals += [np.diff(trace.time) for trace in traces if trace is not None]
        # Questions without a label are on the screen, too, so they take their samples first.
        placed = find_samples(asked, traces, left_out)
        for number, question in enumerate(asked):
            reason = reason_without_pair(question) or ("no trace of its session" if None in traces else None)
            if reason is not None:
                dropped[reason] += 1
                continue
            left, right = (_read_side(question, side, placed[side][number], traces[side]) for side in (0, 1))
            readings.append(_PairReading(question, (left, right)))
    report.samples_left_out = dict(left_out)
    report.notes += [f"{unreadable} characters of the traces are in rows of another form"] if unreadable else []
    if intervals:
        low, middle, high = np.quantile(np.concatenate(intervals), [0.25, 0.5, 0.75]).round(1).tolist()
        report.interval_ms = (low, middle, high)
    return readings


def _read_side(question: Question, side: int, placed: NDArray[np.int64], trace: Trace | None) -> ReplyReading:
    return read_reply(question.replies[side], placed, np.zeros(0) if trace is None else trace.time)


def _apply_gates(readings: Sequence[_PairReading], gates: QualityGates, dropped: Counter[str]) -> list[_PairReading]:
    kept = []
    for each in readings:
        if sum(reply.samples for reply in each.replies) < gates.min_samples:
            dropped[f"fewer than {gates.min_samples} samples on both replies together"] += 1
        elif each.least_seen < gates.min_seen:
            dropped[f"less than {100 * gates.min_seen:g} % of a reply seen"] += 1
        else:
            kept.append(each)
    of_reader = Counter(each.question.reader for each in kept)
    few = [each for each in kept if of_reader[each.question.reader] < gates.min_pairs]
    if few:
        dropped[f"a reader with fewer than {gates.min_pairs} pairs"] += len(few)
    return [each for each in kept if of_reader[each.question.reader] >= gates.min_pairs]


def _describe(kept: Sequence[_PairReading], report: IfllmReport) -> None:
    replies = [reply for each in kept for reply in each.replies]
    report.pairs = len(kept)
    report.readers = len({each.question.reader for each in kept})
    report.both_seen = float(np.mean([each.fewest_samples > 0 for each in kept]))
    report.samples = sum(reply.samples for reply in replies)
    report.seconds = float(np.mean([reply.seconds for reply in replies]))
    report.seen = float(np.mean([reply.seen for reply in replies]))
    for least in _STRICTER:
        count = sum(each.fewest_samples >= least for each in kept)
        report.stricter[f"at least {least} samples on each reply"] = count
    for share in (0.1, 0.25, 0.5):
        count = sum(each.least_seen >= share for each in kept)
        report.stricter[f"at least {100 * share:g} % of each reply seen"] = count
    report.notes.append(
        f"a sample comes every {report.interval_ms[1]:g} ms (median) and stands for at most {LONGEST_SAMPLE:g} ms; a "
        f"webcam knows the line at best. {', '.join(COARSE)} need a finer rate: they are of visits, not of fixations"
    )


def _write_files(out: Path, kept: Sequence[_PairReading], units: str, report: IfllmReport) -> None:
    lines = [json.dumps(_pair_row(each), ensure_ascii=False) + "\n" for each in kept]
    columns: dict[str, list[object]] = {name: [] for name in RECORDED_SCHEMA.names}
    readings: Counter[tuple[str, str]] = Counter()
    shared = 0
    for each in kept:
        for reply, reading in zip(each.question.replies, each.replies, strict=True):
            key = (text_key(reply).hex(), each.question.reader)
            readings[key] += 1
            shared += readings[key] > 1
            # A text that a reader read in two questions has two readings: `recorded` takes their mean.
            reader = key[1] if readings[key] == 1 else f"{key[1]} #{readings[key]}"
            _add_rows(
                columns,
                key[0],
                reader,
                reply,
                convert_to_cmcl(reading.measures) if units == "cmcl" else reading.measures,
            )
    if shared:
        report.notes.append(f"{shared} replies have the text of an earlier one: their gaze is the mean of both")
    metadata = {"units": units, "sampling": "webcam", "coarse": ",".join(COARSE)}
    content = io.BytesIO()
    pq.write_table(pa.table(columns, schema=RECORDED_SCHEMA.with_metadata(metadata)), content)
    files: Mapping[Path, str | bytes] = {
        out / REPORT: json.dumps(report.to_json(), indent=2) + "\n",
        out / PAIRS: "".join(lines),
        out / GAZE: content.getvalue(),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_files_atomically(files)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror})") from None


def _pair_row(each: _PairReading) -> dict[str, object]:
    question = each.question
    chosen = question.preferred or 0
    return {
        "prompt": question.prompt,
        "chosen": question.replies[chosen],
        "rejected": question.replies[1 - chosen],
        "reader": question.reader,
        "question": question.id,
        "task": question.task,
        "chosen_side": _SIDE_NAMES[chosen],
        "samples_chosen": each.replies[chosen].samples,
        "samples_rejected": each.replies[1 - chosen].samples,
        "seen_chosen": round(each.replies[chosen].seen, 4),
        "seen_rejected": round(each.replies[1 - chosen].seen, 4),
    }


def _add_rows(
    columns: dict[str, list[object]], text: str, reader: str, reply: str, measures: NDArray[np.float64]
) -> None:
    """Add a row for each word of a reply."""
    spans = word_spans(reply)
    columns["text_sha256"] += [text] * len(spans)
    columns["reader"] += [reader] * len(spans)
    columns["word"] += [reply[start:end] for start, end in spans.tolist()]
    columns["start"] += spans[:, 0].tolist()
    columns["end"] += spans[:, 1].tolist()
    for index, name in enumerate(MEASURES):
        columns[name] += measures[:, index].tolist()
