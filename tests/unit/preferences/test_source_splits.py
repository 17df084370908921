"""What `data.source` accepts, from a path or a name to pairs."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gazetune.errors import InputError
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.source_splits import read_hub_rows, read_source_splits
from gazetune.preferences.sources import registry
from gazetune.preferences.sources.registry import SOURCE_FORMATS, Dropped, preference_source, recognise_format
from gazetune.preferences.sources.rows import Row

HELPSTEER2 = [
    {"prompt": f"p{row // 2}", "response": f"r{row}", "helpfulness": row % 4, "correctness": 1} for row in range(8)
]


def _refused(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        for stream in read_source_splits(name).values():
            list(stream)
    assert "\n" not in str(caught.value)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))


def test_the_published_data_sets_are_registered() -> None:
    assert set(SOURCE_FORMATS) == {
        "nvidia/HelpSteer2",
        "OpenAssistant/oasst1",
        "Anthropic/hh-rlhf",
        "openbmb/UltraFeedback",
    }


def test_a_new_data_set_joins_by_its_decorator(tmp_path: Path) -> None:
    @preference_source("made/up", columns=("left", "right"))
    def convert(rows: Any) -> Any:
        return (Dropped(row.origin, "made up") for row in rows)

    try:
        _write(tmp_path / "own.parquet", [{"left": "a", "right": "b"}])
        (stream,) = read_source_splits(str(tmp_path / "own.parquet")).values()
        assert [item.reason for item in stream if isinstance(item, Dropped)] == ["made up"]
    finally:
        del SOURCE_FORMATS["made/up"]


def test_the_data_set_that_the_docs_show_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "SOURCE_FORMATS", dict(SOURCE_FORMATS))
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    exec(re.search(r"```python\n(.*?)```", page, flags=re.DOTALL)[1], {"__name__": "answers"})
    _write(tmp_path / "own.parquet", [{"question": "Why?", "better": "So.", "worse": "No."}])
    (pair,) = read_source_splits(str(tmp_path / "own.parquet"))["train"]
    assert isinstance(pair, PreferencePair)
    assert (pair.prompt[0].content, pair.chosen, pair.rejected) == ("Why?", "So.", "No.")


def test_raw_columns_are_recognised_and_pairs_are_not() -> None:
    named = {
        "nvidia/HelpSteer2": ["prompt", "response", "helpfulness", "correctness"],
        "OpenAssistant/oasst1": ["message_id", "parent_id", "text", "role", "lang", "rank", "message_tree_id"],
        "openbmb/UltraFeedback": ["preference_source", "instruction", "models", "completions"],
    }
    for name, columns in named.items():
        raw = recognise_format(Row("f:1", dict.fromkeys(columns, "text")))
        assert raw is not None and raw.name == name
    assert recognise_format(Row("f:1", {"prompt": "a", "chosen": "b", "rejected": "c"})) is None


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl.gz"])
def test_a_local_copy_of_a_published_data_set_goes_through_its_own_rules(tmp_path: Path, suffix: str) -> None:
    _write(tmp_path / "data" / f"train-00000-of-00002{suffix}", HELPSTEER2[:4])
    _write(tmp_path / "data" / f"train-00001-of-00002{suffix}", HELPSTEER2[4:])
    _write(tmp_path / f"validation{suffix}", HELPSTEER2[:2])
    _write(tmp_path / ".cache" / f"other{suffix}", HELPSTEER2)
    splits = {name: list(stream) for name, stream in read_source_splits(str(tmp_path)).items()}
    assert {name: len(pairs) for name, pairs in splits.items()} == {"train": 4, "validation": 1}
    first = splits["train"][0]
    assert isinstance(first, PreferencePair)
    assert (first.chosen, first.rejected, first.margin) == ("r1", "r0", 1)
    assert first.origin == f"{tmp_path}/data/train-00000-of-00002{suffix}:2"


def test_a_nested_parquet_file_of_messages_gives_pairs(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    rejected = [messages[0], {"role": "assistant", "content": "Go."}]
    _write(tmp_path / "own.parquet", [{"chosen": messages, "rejected": rejected}])
    (pair,) = read_source_splits(str(tmp_path / "own.parquet"))["train"]
    assert isinstance(pair, PreferencePair)
    assert (pair.prompt[0].content, pair.chosen, pair.rejected) == ("Hi", "Hello.", "Go.")


@pytest.mark.parametrize("name", ["own.jsonl", "own.jsonl.gz"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    for content in (b"", b"\n \n"):
        (tmp_path / name).write_bytes(gzip.compress(content) if content and name.endswith("gz") else content)
        _refused(str(tmp_path / name), r"own\.jsonl.*: the file is empty")


def test_a_parquet_file_without_rows_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"prompt": pa.array([], pa.string())}), tmp_path / "own.parquet")
    _refused(str(tmp_path / "own.parquet"), r"own\.parquet: the file is empty")


def test_an_empty_folder_and_another_file_type_are_refused(tmp_path: Path) -> None:
    _refused(str(tmp_path), "has no data files; accepted: .jsonl, .jsonl.gz, .parquet")
    (tmp_path / "own.csv").write_text("prompt,chosen,rejected\n")
    _refused(str(tmp_path / "own.csv"), r"data\.source: .*own\.csv' has an unknown file type; accepted: \.jsonl")


def test_a_missing_file_is_refused_by_its_name() -> None:
    _refused("missing.jsonl", r"data\.source: there is no file 'missing\.jsonl'")


@pytest.mark.parametrize(
    ("name", "near"),
    [("plantd", "planted"), ("nvidia/HelpSteer", "nvidia/HelpSteer2"), ("OpenAssistant/oasst", "OpenAssistant/oasst1")],
)
def test_a_name_close_to_a_known_source_is_refused_with_it(name: str, near: str) -> None:
    _refused(name, rf"data\.source: '{name}' is neither .* did you mean '{near}'\?")


def test_an_unknown_name_is_refused_with_all_known_ones() -> None:
    _refused("zzz", "accepted: planted, .*nvidia/HelpSteer2")


def test_the_row_of_a_bad_pair_is_named(tmp_path: Path) -> None:
    good = {"prompt": "p", "chosen": "a", "rejected": "b"}
    _write(tmp_path / "own.jsonl.gz", [good, good, {"prompt": "p", "chosen": "a"}])
    _refused(str(tmp_path / "own.jsonl.gz"), r"own\.jsonl\.gz:3: key 'rejected' is missing")


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl.gz"])
def test_the_datasets_library_gives_the_rows_of_a_folder_laid_out_like_the_published_one(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    _write(tmp_path / "set" / f"train{suffix}", HELPSTEER2)
    _write(tmp_path / "set" / f"validation{suffix}", HELPSTEER2[:2])
    splits = read_hub_rows(str(tmp_path / "set"), ["planted"])
    assert list(splits) == ["train", "validation"]
    pairs = list(SOURCE_FORMATS["nvidia/HelpSteer2"].convert(splits["train"]))
    assert [(pair.chosen, pair.margin) for pair in pairs if isinstance(pair, PreferencePair)] == [
        ("r1", 1),
        ("r3", 1),
        ("r5", 1),
        ("r7", 1),
    ]
    assert isinstance(pairs[0], PreferencePair) and pairs[0].origin == f"{tmp_path / 'set'}/train:2"


def test_an_unreachable_hub_is_one_line_with_the_id_and_what_is_accepted(tmp_path: Path) -> None:
    program = (
        "from gazetune.errors import InputError\n"
        "from gazetune.preferences.source_splits import read_source_splits\n"
        "try: read_source_splits('nvidia/HelpSteer2')\n"
        "except InputError as error: print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    (line,) = run.stdout.splitlines()
    assert line.startswith("data.source: 'nvidia/HelpSteer2' cannot be loaded from the hub (")
    assert "accepted: planted" in line and ".jsonl" in line


def test_real_pairs_read_alike_with_an_explicit_and_an_implicit_prompt(tmp_path: Path, shared: Path) -> None:
    explicit = list(read_source_splits(str(shared / "data" / "hh_harmless_pairs.jsonl.gz"))["train"])
    assert len(explicit) == 1800
    spelled = {"user": "Human", "assistant": "Assistant"}
    rows = []
    for pair in explicit:
        assert isinstance(pair, PreferencePair)
        start = "".join(f"\n\n{spelled[message.role]}: {message.content}" for message in pair.prompt)
        rows.append({key: f"{start}\n\nAssistant: {getattr(pair, key)}" for key in ("chosen", "rejected")})
    _write(tmp_path / "implicit.parquet", rows)
    implicit = list(read_source_splits(str(tmp_path / "implicit.parquet"))["train"])
    same = [
        (first.prompt, first.chosen, first.rejected, first.group)
        == (second.prompt, second.chosen, second.rejected, second.group)
        for first, second in zip(explicit, implicit, strict=True)
        if isinstance(first, PreferencePair) and isinstance(second, PreferencePair)
    ]
    assert len(same) == 1800 and all(same)
