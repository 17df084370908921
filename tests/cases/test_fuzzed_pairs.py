"""Rows and folders of any make: what is read is whole, and what is refused is one line that names file, row or key."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gazetune.config import DataConfig
from gazetune.errors import InputError
from gazetune.preferences.own_pairs import read_own_pairs
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.source_reading import SourceReading
from gazetune.preferences.sources.messages import split_dialogue
from gazetune.preferences.sources.rows import Row
from gazetune.preferences.splits import load_splits
from tests.cases.pair_files import make_rows, write_rows

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MARKERS = [
    "\n\nHuman: ",
    "\n\nAssistant:",
    "Human:",
    "\nAssistant: ",
    "\r\n\r\nHuman:",
    " ",
    "\n",
    "[{",
    '"role":',
    "\ufeff",
]

texts = st.one_of(
    st.text(max_size=12),
    st.lists(st.one_of(st.sampled_from(MARKERS), st.text(max_size=6)), max_size=6).map("".join),
)
contents = st.one_of(
    texts,
    st.none(),
    st.integers(),
    st.lists(
        st.one_of(
            st.fixed_dictionaries({"type": st.sampled_from(["text", "image", "audio"]), "text": texts}),
            texts,
            st.dictionaries(st.sampled_from(["type", "text", "image"]), texts, max_size=3),
        ),
        max_size=3,
    ),
)
roles = st.one_of(
    st.sampled_from(["user", "assistant", "system", "human", "gpt", "tool", "Assistant"]), texts, st.none()
)
messages = st.one_of(
    st.fixed_dictionaries({"role": roles, "content": contents}),
    st.fixed_dictionaries({"from": roles, "value": contents}),
    st.dictionaries(st.sampled_from(["role", "content", "from", "tool_calls", "name"]), contents, max_size=4),
)
conversations = st.lists(messages, max_size=4)
values = st.one_of(
    texts,
    conversations,
    conversations.map(json.dumps),
    conversations.map(str),
    st.none(),
    st.booleans(),
    st.floats(),
    st.integers(),
    st.dictionaries(texts, texts, max_size=2),
    st.lists(texts, max_size=2),
)
columns = st.sampled_from(
    [
        *("prompt", "chosen", "rejected", "system", "margin", "score_chosen", "score_rejected", "question"),
        *("instruction", "completions", "response", "helpfulness", "tools", "images", "message_id", "text", "lang"),
    ]
)
rows = st.one_of(
    st.dictionaries(columns, values, max_size=8),
    st.dictionaries(st.one_of(columns, st.text(max_size=5)), values, max_size=8),
    st.fixed_dictionaries({"prompt": values, "chosen": values, "rejected": values}),
    st.fixed_dictionaries({"chosen": values, "rejected": values}, optional={"system": values}),
    st.fixed_dictionaries({"prompt": texts, "chosen": texts, "rejected": texts}, optional={"system": texts}),
)


@QUICK
@given(rows)
def test_a_row_gives_a_pair_or_one_line_with_its_place(row: dict[str, Any]) -> None:
    try:
        (pair,) = read_own_pairs([Row("f.jsonl:7", row)])
    except InputError as error:
        line = str(error)
        assert line.startswith("f.jsonl:7: ") and "\n" not in line and "\r" not in line
        return
    assert isinstance(pair, PreferencePair)
    assert pair.prompt[-1].role == "user" and pair.chosen.strip() and pair.rejected.strip()
    assert pair.chosen.strip() != pair.rejected.strip()
    assert all(message.role in ("system", "user", "assistant") for message in pair.prompt)


@QUICK
@given(st.lists(rows, max_size=5))
def test_of_rows_that_are_dropped_none_is_lost_from_the_counts(some: list[dict[str, Any]]) -> None:
    reading = SourceReading(drop_bad_rows=True)
    items = list(read_own_pairs([Row(f"f:{number}", row) for number, row in enumerate(some)], reading))
    assert len(items) == len(some) == reading.good + reading.bad.total()
    assert reading.good == sum(isinstance(item, PreferencePair) for item in items)
    assert all("\n" not in reason for reason in reading.bad)


@settings(parent=QUICK, max_examples=60)
@given(st.lists(rows, min_size=1, max_size=4), st.sampled_from(["stop", "drop"]))
def test_a_file_is_read_or_refused_in_one_line(some: list[dict[str, Any]], on_bad_row: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder) / "pairs.jsonl", [*some, *make_rows(40)])
        try:
            splits = load_splits(DataConfig(source=str(path), on_bad_row=on_bad_row))
        except InputError as error:
            line = str(error)
            assert "\n" not in line and (str(path) in line or "data." in line)
            return
        pairs = len(splits.train) + len(splits.validation) + len(splits.test)
        if "prompt" in some[0] and "chosen" in some[0]:  # not a published format, which makes other pairs of rows
            assert pairs + sum(splits.dropped.values()) == len(some) + 40


words = st.text(
    alphabet=st.characters(categories=["L", "N"], include_characters=" ,.?"), min_size=1, max_size=20
).filter(lambda text: bool(text.strip()) and "Human" not in text and "Assistant" not in text)


@QUICK
@given(
    st.lists(words, min_size=3, max_size=7),
    st.sampled_from(["", "\n", " \n\n", "\n\n", "\r\n", "\t"]),
    st.sampled_from(["\n\n", "\r\n\r\n", "\n \n", "\n"]),
)
def test_turns_are_found_again(turns: list[str], start: str, turn: str) -> None:
    names = ["Human", "Assistant"]
    text = start + turn.join(f"{names[number % 2]}: {content}" for number, content in enumerate(turns))
    if start == "\n\n" and turn == "\n":
        return  # the text itself says that turns are paragraphs
    found = split_dialogue(text)
    assert found is not None
    assert [message.role for message in found] == [("user", "assistant")[number % 2] for number in range(len(turns))]
    assert [message.content for message in found] == [content.strip() for content in turns]


parts = st.sampled_from(
    ["train", "test", "validation", "eval", "data", "prefs", "default", "a b", "0000", "Ünï", "%41"]
)
names = st.builds(
    lambda folders, stem, end, suffix: "/".join([*folders, stem + end + suffix]),
    st.lists(parts, max_size=2),
    st.lists(parts, min_size=1, max_size=2).map("_".join),
    st.sampled_from(["", "-00000-of-00001", "-00000-of-00002-b42a775f407cee40"]),
    st.sampled_from([".jsonl", ".JSONL", ".parquet", ".csv", ".arrow", ".jsonl.gz"]),
)


@settings(parent=QUICK, max_examples=100)
@given(st.lists(names, min_size=1, max_size=4, unique=True))
def test_a_folder_is_read_without_losing_a_pair_or_refused_in_one_line(files: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(files):
            write_rows(Path(folder) / name, make_rows(30, start=100 * number))
        try:
            splits = load_splits(DataConfig(source=folder))
        except InputError as error:
            assert "\n" not in str(error) and str(error).startswith("data.")
            return
        pairs = [*splits.train, *splits.validation, *splits.test]
        assert len(pairs) % 30 == 0 and splits.dropped == {}
        assert len({pair.prompt[-1].content for pair in pairs}) == len(pairs)
