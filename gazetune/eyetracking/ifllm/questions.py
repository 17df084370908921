"""The table of questions: who asked what, the two replies, and which one was preferred."""

from __future__ import annotations

import csv
import html
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from gazetune.errors import InputError

TABLE = "query_logs_table.csv"
_COLUMNS = ("query_ID", "user_id", "task_id", "user_query", "llm_response_1", "llm_response_2", "preference")
_SIDES = {"1": 0, "1.0": 0, "2": 1, "2.0": 1}
_ERROR = "AI Error. Please report"
"""How the page's own message begins that stands in the place of a reply which the model did not give."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a reader, with the two replies that were shown side by side."""

    id: str
    reader: str
    task: str
    prompt: str
    replies: tuple[str, str]
    """Left and right, as they were shown: HTML entities decoded."""
    preferred: int | None
    """0: the left one, 1: the right one; None: neither was said."""

    @property
    def session(self) -> tuple[str, str]:
        """Reader and task: the questions of one session share two traces."""
        return self.reader, self.task


def read_questions(folder: Path, dropped: Counter[str]) -> list[Question]:
    """Return the questions with two replies, those without a label included, in the order of the table.

    Rows that give none are counted in `dropped` by their reason.

    Raises
    ------
    InputError
        If the table is not there or cannot be read, or lacks a column, or a preference is none, or an id comes twice.
    """
    path = folder / TABLE
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            table = csv.DictReader(lines)
            missing = [name for name in _COLUMNS if name not in (table.fieldnames or [])]
            if missing:
                raise InputError(
                    f"{path}: column '{missing[0]}' is missing; it has {', '.join(table.fieldnames or [])}"
                )
            rows = list(table)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{path}: cannot be read ({reason}); accepted: the folder of {TABLE} and user_behavior"
        ) from None
    found: dict[str, Question] = {}
    for number, row in enumerate(rows, start=2):
        if not all((row[name] or "").strip() for name in ("llm_response_1", "llm_response_2")):
            dropped["one reply only"] += 1
            continue
        question = _read_row(f"{path} row {number}", row)
        if question.id in found:
            raise InputError(f"{path} row {number}: query_ID: {question.id} is there twice; accepted: each once")
        found[question.id] = question
    return list(found.values())


def reason_without_pair(question: Question) -> str | None:
    """Return why a question gives no preference pair, None where it gives one."""
    if question.preferred is None:
        return "no preference said"
    if not question.prompt.strip():
        return "no question"
    if any(reply.startswith(_ERROR) for reply in question.replies):
        return "a reply is the page's error message"
    if question.replies[0].strip() == question.replies[1].strip():
        return "both replies are the same"
    return None


def _read_row(origin: str, row: dict[str, str]) -> Question:
    preference = row["preference"].strip()
    if preference not in ("", "0", "0.0", *_SIDES):
        raise InputError(f"{origin}: preference: {preference}; accepted: 1.0, 2.0, 0.0 or nothing")
    for name in ("query_ID", "user_id", "task_id"):
        if not row[name].strip():
            raise InputError(f"{origin}: {name}: is missing")
    return Question(
        id=row["query_ID"].strip(),
        reader=row["user_id"].strip(),
        task=row["task_id"].strip(),
        prompt=html.unescape(row["user_query"]),
        replies=(html.unescape(row["llm_response_1"]), html.unescape(row["llm_response_2"])),
        preferred=_SIDES.get(preference),
    )
