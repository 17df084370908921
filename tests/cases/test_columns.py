"""What a row says is what is read: labels before columns, messages in every form, and what is not read is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gazetune.preferences.pair import Message
from tests.cases.pair_files import SUFFIXES, read_all, refusal, write_rows

USER = {"role": "user", "content": "Name a prime."}
GOOD = {"role": "assistant", "content": "7"}
BAD = {"role": "assistant", "content": "9"}
PLAIN = {"prompt": "Name a prime.", "chosen": "7", "rejected": "9"}


def copies(row: dict[str, Any], count: int = 40) -> list[dict[str, Any]]:
    """Rows like `row`, each with a prompt of its own where the prompt is text."""
    return [json.loads(json.dumps(row).replace("prime", f"prime above {number}")) for number in range(count)]


def first_pair(folder: Path, row: dict[str, Any], suffix: str = ".jsonl") -> tuple[list[tuple[str, str]], str, str]:
    pairs, _ = read_all(write_rows(folder / f"pairs{suffix}", copies(row)))
    assert len(pairs) == 40
    pair = min(pairs, key=lambda item: item.prompt[-1].content)
    prompt = [(message.role, message.content.replace(" above 0", "")) for message in pair.prompt]
    return prompt, pair.chosen, pair.rejected


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": PLAIN["prompt"], "chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {key: json.dumps(value) for key, value in {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]}.items()},
        {"prompt": PLAIN["prompt"], "chosen": json.dumps([USER, GOOD]), "rejected": json.dumps([USER, BAD], indent=1)},
        {"chosen": json.dumps([USER, GOOD]), "rejected": json.dumps([USER, BAD])},
        {"prompt": PLAIN["prompt"], "chosen": str([USER, GOOD]), "rejected": str([BAD])},
        {"prompt": [{"from": "human", "value": USER["content"]}], "chosen": "7", "rejected": "9"},
        {"question": PLAIN["prompt"], "chosen": "7", "rejected": "9"},
        {"instruction": PLAIN["prompt"], "input": "", "chosen": "7", "rejected": "9"},
        {**PLAIN, "completions": [{"response": "9", "overall_score": 9.0}], "instruction": "Other."},
        {**PLAIN, "response": "9", "helpfulness": 4},
        {**PLAIN, "message_id": "1", "message_tree_id": "2", "role": "user", "text": "Other.", "lang": "en"},
        {**PLAIN, "system": None},
        {**PLAIN, "system": " "},
        {"prompt": "Human: Name a prime.\r\n\r\nAssistant:", "chosen": " 7", "rejected": "\n\nAssistant: 9"},
        {"prompt": "\ufeffHuman: Name a prime.\nAssistant:", "chosen": "7", "rejected": "9"},
    ],
)
def test_every_form_of_a_row_is_the_same_pair_in_every_format(row: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    prompt, chosen, rejected = first_pair(tmp_path, row, suffix)
    assert (prompt, chosen.strip(), rejected.strip()) == ([("user", "Name a prime.")], "7", "9")


def test_parts_of_type_text_are_joined_as_chat_templates_join_them(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Name a "}, {"type": "text", "text": "prime."}]
    row = {**PLAIN, "prompt": [{"role": "user", "content": parts}]}
    assert first_pair(tmp_path, row)[0] == [("user", "Name a prime.")]
    assert first_pair(tmp_path, row, ".parquet")[0] == [("user", "Name a prime.")]


def test_a_part_that_is_an_image_is_refused_with_its_place(tmp_path: Path) -> None:
    parts = [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What is it?"}]
    path = write_rows(tmp_path / "p.jsonl", [PLAIN, {**PLAIN, "prompt": [{"role": "user", "content": parts}]}])
    expected = f"{path}:2: key 'prompt[0].content[0]' must be a part of type 'text', got 'image'"
    assert refusal(path) == f"{expected}; data.on_bad_row=drop leaves such rows out"


@pytest.mark.parametrize("key", ["tool_calls", "reasoning_content", "images"])
def test_what_a_template_would_show_beside_the_content_is_refused(key: str, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "p.jsonl", [{**PLAIN, "chosen": [{**GOOD, key: [{"name": "search"}]}]}])
    assert f"{path}:1: key 'chosen[0].{key}' is not read; accepted: messages of role and text" in refusal(path)
    write_rows(path, copies({**PLAIN, "chosen": [{**GOOD, key: None}]}))
    assert len(read_all(path)[0]) == 40


def test_a_role_of_tools_is_refused_with_the_roles_that_are_read(tmp_path: Path) -> None:
    prompt = [USER, {"role": "tool", "content": "42"}, USER]
    line = refusal(write_rows(tmp_path / "p.jsonl", [{**PLAIN, "prompt": prompt}]))
    assert "p.jsonl:1: key 'prompt[1].role' is 'tool'; accepted: system, user," in line


def test_json_text_that_is_damaged_is_refused_and_other_json_stays_text(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "p.jsonl", [{**PLAIN, "chosen": json.dumps([USER, GOOD])[:-3]}])
    assert f"{path}:1: key 'chosen' begins as a list of messages and is none" in refusal(path)
    row = {**PLAIN, "chosen": '[{"name": "a"}]', "rejected": "[1, 2"}
    assert first_pair(tmp_path, row)[1:] == ('[{"name": "a"}]', "[1, 2")


@pytest.mark.parametrize("column", ["system", "system_prompt"])
def test_a_system_column_is_the_system_message(column: str, tmp_path: Path) -> None:
    expected = [("system", "Be brief."), ("user", "Name a prime.")]
    assert first_pair(tmp_path, {**PLAIN, column: "Be brief."})[0] == expected
    row = {"chosen": [USER, GOOD], "rejected": [USER, BAD], column: "Be brief."}
    assert first_pair(tmp_path, row)[0] == expected
    row = {**PLAIN, "prompt": [{"role": "system", "content": "Be brief."}, USER], column: "Be brief. "}
    assert first_pair(tmp_path, row)[0] == expected


def test_two_system_messages_that_differ_are_refused(tmp_path: Path) -> None:
    row = {**PLAIN, "prompt": [{"role": "system", "content": "Be long."}, USER], "system": "Be brief."}
    path = write_rows(tmp_path / "p.jsonl", [row])
    assert refusal(path).startswith(
        f"{path}:1: the system messages of 'system' and 'prompt' differ: 'Be brief.' and 'Be long.'; accepted: one"
    )


def test_a_prompt_that_is_the_last_question_of_the_conversations_has_their_beginning(tmp_path: Path) -> None:
    start = [{"role": "system", "content": "Be brief."}, USER, GOOD, {"role": "user", "content": "Another prime?"}]
    row = {"prompt": "Another prime?", "chosen": [*start, GOOD], "rejected": [*start, BAD]}
    prompt, chosen, _ = first_pair(tmp_path, row)
    assert [role for role, _ in prompt] == ["system", "user", "assistant", "user"] and chosen == "7"


@pytest.mark.parametrize("start", ["\n\n", " \n\n", "\n", "", "\r\n\r\n", "\t"])
@pytest.mark.parametrize("turn", ["\n\n", "\r\n\r\n", "\n \n", "\n"])
def test_turns_are_found_whatever_white_space_is_around_them(start: str, turn: str, tmp_path: Path) -> None:
    if start == "\n\n" and turn == "\n":
        pytest.skip("the text itself says that turns are paragraphs")
    parts = ["Human: Name a prime.", "Assistant: 2", "Human: Another one.", "Assistant:"]
    prompt, chosen, _ = first_pair(tmp_path, {**PLAIN, "prompt": start + turn.join(parts)})
    assert prompt == [("user", "Name a prime."), ("assistant", "2"), ("user", "Another one.")] and chosen == "7"


def test_the_word_human_within_a_text_divides_nothing(tmp_path: Path) -> None:
    row = {
        "prompt": "Is a prime Human: or not?\n\nHuman: asks",
        "chosen": "A being, Human: or Assistant: alike.\n\nHuman: no",
        "rejected": "Human: a word.",
    }
    assert first_pair(tmp_path, row) == ([("user", row["prompt"])], row["chosen"], row["rejected"])


def test_columns_that_are_not_read_are_told_and_those_that_may_decide_by_themselves(tmp_path: Path) -> None:
    row = {**PLAIN, "id": 3, "source": "x", "tools": '[{"name": "f"}]', "images": [], "label": 0}
    _, splits = read_all(write_rows(tmp_path / "p.jsonl", copies(row)))
    assert splits.notes == {
        "columns that are not read: id, source": 40,
        "column 'tools' is not read, though it may decide which reply is better": 40,
        "column 'label' is not read, though it may decide which reply is better": 40,
    }


def test_replies_that_begin_with_the_prompt_and_turns_within_a_prompt_are_told(tmp_path: Path) -> None:
    row = {"prompt": "Name a prime:", "chosen": "Name a prime: 7", "rejected": "Name a prime: 9"}
    _, splits = read_all(write_rows(tmp_path / "p.jsonl", copies(row)))
    assert splits.notes == {"both replies begin with the prompt, which is read as a part of them": 40}
    row = {**PLAIN, "prompt": "Be brief.\n\nHuman: Name a prime.\n\nAssistant:"}
    pairs, splits = read_all(write_rows(tmp_path / "p.jsonl", copies(row)))
    assert pairs[0].prompt[0].content.startswith("Be brief.\n\nHuman:")
    assert splits.notes == {"'Human:' and 'Assistant:' stand within a prompt that is read as one message": 40}


def test_an_instruction_with_an_input_beside_it_is_refused(tmp_path: Path) -> None:
    row = {"instruction": "Name it.", "input": "2, 3, 5", "chosen": "7", "rejected": "9"}
    line = refusal(write_rows(tmp_path / "p.jsonl", [row]))
    assert "p.jsonl:1: no key 'prompt', and keys 'instruction' and 'input'; accepted: the whole prompt under" in line


def test_labels_that_later_rows_have_beside_the_columns_of_a_published_data_set_are_refused(tmp_path: Path) -> None:
    raw = {"instruction": "Do.", "completions": [{"response": str(n), "overall_score": n} for n in (1.0, 2.0)]}
    path = write_rows(tmp_path / "p.jsonl", [raw, {**raw, **PLAIN}])
    assert f"{path}:2: key 'chosen' beside the columns of openbmb/UltraFeedback, which earlier rows" in refusal(path)


def test_half_of_the_labels_is_refused(tmp_path: Path) -> None:
    raw = {"instruction": "Do.", "completions": [{"response": "a", "overall_score": 1.0}], "chosen": "a"}
    assert "p.jsonl:1: key 'rejected' is missing" in refusal(write_rows(tmp_path / "p.jsonl", [raw]))


def test_scores_the_other_way_round_are_refused_or_dropped(tmp_path: Path) -> None:
    rows = [*copies(PLAIN), {**PLAIN, "score_chosen": 1, "score_rejected": 2}]
    path = write_rows(tmp_path / "p.jsonl", rows)
    assert f"{path}:41: key 'score_chosen' is 1 and 'score_rejected' 2; accepted: a chosen score" in refusal(path)
    _, splits = read_all(path, on_bad_row="drop")
    assert splits.dropped == {"key 'score_chosen' is below 'score_rejected'": 1}


@pytest.mark.parametrize("case", ["A05_content_parts/pairs.jsonl", "A07_json_text_messages/pairs.parquet"])
def test_the_cases_of_messages_are_read_as_text(case: str, shared: Path) -> None:
    pairs, _ = read_all(shared / "cases" / case)
    assert all(len(pair.prompt) == 1 and "role" not in pair.chosen + pair.prompt[0].content for pair in pairs)


def test_the_cases_of_labels_and_of_a_system_column_are_read(shared: Path) -> None:
    pairs, _ = read_all(shared / "cases" / "A08_own_pairs_in_ultrafeedback" / "pairs.jsonl")
    assert len(pairs) == 60 and all(pair.chosen.startswith("A long and useful") for pair in pairs)
    pairs, _ = read_all(shared / "cases" / "A15_system_column" / "pairs.jsonl")
    assert all(pair.prompt[0].role == "system" and "pirate" in pair.prompt[0].content for pair in pairs)


@pytest.mark.parametrize("case", ["none", "one", "space"])
def test_the_cases_of_markers_are_turns(case: str, shared: Path) -> None:
    pairs, _ = read_all(shared / "cases" / "A16_human_markers" / f"{case}.jsonl")
    number = pairs[0].chosen.removeprefix("Knock ")
    turns = [("user", f"Joke {number}?"), ("assistant", "Which one?"), ("user", "A good one")]
    assert pairs[0].prompt == tuple(Message(*turn) for turn in turns)
