"""A made-up study of one text in the columns of Gazepoint's exports, and the import of it as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gazetune.cli.main import main

TEXT = "The harbour was built by sailors long ago and still holds many wooden boats"
PAGES = {"1.1_p1": TEXT.split()[:8], "1.1_p2": TEXT.split()[8:]}
OTHER = "Nobody knows why the old mill burned down so quickly"
COLUMNS = "MEDIA_ID,MEDIA_NAME,CNT,TIME(2020/01/02 10:00:00.000),FPOGX,FPOGY,FPOGS,FPOGD,FPOGID,FPOGV,USER,"
SCREEN = (1280, 1024)

Fixation = tuple[str, int, float]
"""Screen, word on it (negative: far from all words), seconds."""
FIRST: list[Fixation] = [("1.1_p1", word, 0.2) for word in range(8)]
"""Page 1, word by word."""
SECOND: list[Fixation] = [("1.1_p2", word, 0.3) for word in range(6)]
"""Page 2, word by word."""
BACK: list[Fixation] = [("1.1_p1", 2, 0.5), ("1.1_p1", 3, 0.4)]
"""A glance back at page 1."""


def place(word: int) -> tuple[float, float]:
    """Return the middle of a word's box in pixels."""
    return (190.0 + 90 * word, 420.0) if word >= 0 else (640.0, 900.0)


def write_boxes(study: Path, name: str, words: Iterable[str]) -> None:
    """Write the boxes of one page to `study/words`."""
    (study / "words").mkdir(parents=True, exist_ok=True)
    rows = [f"{word};{150 + 90 * n};400;{230 + 90 * n};440" for n, word in enumerate(words)]
    (study / "words" / f"{name}.csv").write_text("text;x1;y1;x2;y2\n" + "\n".join(rows) + "\n")


def rows_of(
    fixations: Iterable[Fixation], anew: bool = True, shift: tuple[float, float] = (0.0, 0.0), samples: int = 1
) -> list[str]:
    """Return the rows of fixations 50 ms apart, with numbers and times that begin anew at each screen or run on.

    Parameters
    ----------
    shift
        Pixels that every fixation lies right and below of its word.
    samples
        Rows of each fixation: more than one is a file of all gaze.
    """
    rows, number, start, before = [], 0, 0.0, None
    for screen, word, seconds in fixations:
        number, start = (0, 0.0) if anew and screen != before else (number, start)
        number, before = number + 1, screen
        x, y = ((each + off) / size for each, off, size in zip(place(word), shift, SCREEN, strict=True))
        for sample in range(1, samples + 1):
            so_far = seconds * sample / samples
            rows.append(
                f"7,{screen},{number},{start + so_far:.5f},{x:.5f},{y:.5f},{start:.5f},{so_far:.5f},{number},1,0,"
            )
        start += seconds + 0.05
    return rows


def write_export(path: Path, rows: Iterable[str], header: str = COLUMNS) -> Path:
    """Write an export."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8", errors="replace")
    return path


@dataclass(frozen=True)
class Imported:
    """What an import printed and wrote."""

    code: int
    error: str
    report: dict[str, Any]
    measures: dict[str, list[list[float]]]
    """By reader, for each word of `TEXT` nFix, FFD, GPT, TRT in ms."""

    def reasons(self, what: str = "fixations") -> dict[str, int]:
        """Return the counts of dropped parts of a kind by reason."""
        found: dict[str, int] = {}
        for each in self.report["dropped"]:
            if each["what"] == what:
                found[each["reason"]] = found.get(each["reason"], 0) + each["count"]
        return found


def import_study(study: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> Imported:
    """Run `gazetune gaze import` on a study of `TEXT` and `OTHER`, and check that its counts add up."""
    pairs = study.parent / "pairs.jsonl"
    pairs.write_text(json.dumps({"prompt": "Tell me.", "chosen": TEXT, "rejected": OTHER}) + "\n")
    out = study.parent / "gaze.parquet"
    for old in (out, out.with_name(f"{out.name}.report.json")):
        old.unlink(missing_ok=True)
    capsys.readouterr()
    arguments = ["--data", str(pairs), "--out", str(out), "--min-fixations", "1", "--units", "ms", "--json", *flags]
    code = main(["gaze", "import", str(study), *arguments])
    printed = capsys.readouterr()
    if code:
        assert code == 2 and not out.exists() and not out.with_name(f"{out.name}.report.json").exists()
        assert len(printed.err.strip().splitlines()) == 1, printed.err
        return Imported(code, printed.err.strip().removeprefix("gazetune: error: "), {}, {})
    report = json.loads(printed.out)
    check_sums(report)
    table = pq.read_table(out).to_pylist()
    measures: dict[str, list[list[float]]] = {}
    for row in table:
        if row["word"] in TEXT.split():
            measures.setdefault(row["reader"], []).append([row[name] for name in ("nFix", "FFD", "GPT", "TRT")])
    return Imported(code, "", report, measures)


def check_sums(report: dict[str, Any]) -> None:
    """Assert that what was read is what was used and what was dropped, in recordings and in fixations."""
    dropped = [each for each in report["dropped"] if each["what"] == "recording"]
    lines = sum(each["count"] for each in report["dropped"] if each["what"] == "fixations")
    assert report["recordings_read"] == report["recordings"] + len(dropped) + report["recordings_joined"]
    assert report["fixations_read"] == report["fixations"] + lines + sum(each["fixations"] for each in dropped)


def by_word(fixations: list[Fixation]) -> list[int]:
    """Return how often each word of the text was fixated."""
    counts = [0] * len(TEXT.split())
    for screen, word, _ in fixations:
        if screen in PAGES and word >= 0:
            counts[word + 8 * (screen == "1.1_p2")] += 1
    return counts


Run = Callable[..., Imported]
"""Imports the study with more flags."""
