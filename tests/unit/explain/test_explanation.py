"""The document and the picture of what moved a reward, and the command that makes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gazetune.cli.main import main
from gazetune.explain.explanation import explain_rewards, explanation_document
from gazetune.explain.explanation_picture import draw_explanation, list_strongest_words
from gazetune.gaze.words import word_spans
from gazetune.preferences.pair import Message, PreferencePair
from gazetune.reward.saved.reward_scorer import RewardScorer


@pytest.fixture
def pair_file(pair: PreferencePair, tmp_path: Path) -> Path:
    row = {"prompt": pair.prompt[-1].content, "chosen": pair.chosen, "rejected": pair.rejected}
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps(row) + "\n")
    return file


def test_words_and_measures_have_the_sum_of_the_units(
    scorer: Callable[[str], RewardScorer], pair: PreferencePair
) -> None:
    chats = {"chosen": pair.chat_with(pair.chosen), "rejected": pair.chat_with(pair.rejected)}
    explained = explain_rewards(scorer("add"), chats, steps=8, shuffles=3)
    document = explanation_document("m", explained)
    assert document["margin"] == pytest.approx(explained[0].attribution.reward - explained[1].attribution.reward)
    for each, found in zip(document["conversations"], explained, strict=True):
        words = [word for message in each["messages"] for word in message["words"]]
        assert sum(word["added"] for word in words) == pytest.approx(found.attribution.units.sum())
        for name, added in each["added"].items():
            assert sum(word["added_by_measure"][name] for word in words) == pytest.approx(added)
        assert [word["word"] for word in words] == [
            message.text[start:stop] for message in found.messages for start, stop in word_spans(message.text)
        ]
        assert each["shuffled"]["n"] == 3


def test_the_strongest_words_come_first(scorer: Callable[[str], RewardScorer], pair: PreferencePair) -> None:
    (found,) = explain_rewards(scorer("add"), {"": pair.chat_with(pair.chosen)}, steps=4, shuffles=0)
    sizes = [abs(float(row[2])) for row in list_strongest_words(found, count=5)]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) == 5
    assert sizes[0] == pytest.approx(
        max(np.abs(message.effects.sum(axis=1)).max() for message in found.messages), abs=1e-4
    )


def test_a_text_cannot_become_markup(scorer: Callable[[str], RewardScorer]) -> None:
    chat = (Message("user", "<b>why</b>"), Message("assistant", '<script>alert("1")</script> & more'))
    page = draw_explanation("<i>m</i>", explain_rewards(scorer("add"), {"": chat}, steps=2, shuffles=0)).to_html()
    assert "<script" not in page and "<b>" not in page and "<i>" not in page
    assert "&lt;script&gt;" in page


def test_words_that_add_are_orange_and_words_that_take_are_blue(
    scorer: Callable[[str], RewardScorer], pair: PreferencePair
) -> None:
    explained = explain_rewards(scorer("add"), {"": pair.chat_with(pair.chosen)}, steps=4, shuffles=0)
    page = draw_explanation("m", explained).to_html()
    signs = [value >= 0 for message in explained[0].messages for value in message.effects.sum(axis=1)]
    assert any(signs) and not all(signs)
    drawn = [part.split('"')[1][0] for part in page.split("<span class=")[1:] if "title=" in part.split(">")[0]]
    assert drawn == ["w" if sign else "v" for sign in signs]


def test_the_command_explains_a_pair_and_draws_it(
    model_folder: Callable[[str], Path], pair_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["explain", str(model_folder("add")), "--pair", f"{pair_file}:1", "--steps", "4", "--shuffles", "2"]
    for name in ("e.html", "e.png"):
        assert main([*command, "--out", str(tmp_path / name), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document["files"] == [str(tmp_path / name)] and (tmp_path / name).stat().st_size > 1000
    assert [each["caption"] for each in document["conversations"]] == ["chosen", "rejected"]
    assert main(command) == 0
    assert "margin" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--text", "a b", "--steps", "0"], "--steps: 0; accepted: 1 or more"),
        (["--text", "a b", "--shuffles", "-1"], "--shuffles: -1; accepted: 0 or more"),
        (["--text", "a b", "--out", "x.jpg"], "--out: 'x.jpg'; accepted: a file that ends in .png or .html"),
        (["--text", " "], "has no words that the model sees gaze on"),
        (["--pair", "FILE:2"], "has no row 2; the last one is 1"),
        (["--pair", "FILE:1", "--prompt", "x"], "--prompt: goes with --text"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_one_line(
    arguments: list[str],
    told: str,
    model_folder: Callable[[str], Path],
    pair_file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [each.replace("FILE", str(pair_file)) for each in arguments]
    assert main(["explain", str(model_folder("add")), *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert told in error[-1]
