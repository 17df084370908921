"""`data.chat_template`, templates that write no reply, and dates in templates."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from gazetune.config import Config
from gazetune.errors import InputError
from gazetune.preferences.pair import Message
from gazetune.reward.data.conversation import ChatEncoder
from gazetune.reward.data.prepared_data import preparation_key, prepare_data
from gazetune.reward.model.backbone import load_tokenizer
from gazetune.reward.model.chat_templates import PLAIN, freeze_date, uses_date
from gazetune.reward.model.tiny import tiny_tokenizer
from gazetune.reward.saved.reward_scorer import RewardScorer
from gazetune.reward.saved.saved_model import read_saved_config, with_saved_template
from gazetune.train.scoring.evaluate_saved_model import evaluate_saved_model
from tests.saved_models import save_untrained_model

CHAT = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
ACCEPTED = "data.chat_template accepts a file with a Jinja template, or plain"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"Question {n}?", "chosen": f"Yes, {n}.", "rejected": f"No {n}!"} for n in range(30)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def config_of(pairs: Path, template: str | None) -> Config:
    return Config.model_validate({"data": {"source": str(pairs), "chat_template": template}})


@pytest.mark.parametrize(
    ("template", "line"),
    [
        ("{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}",
         "writes no assistant message, so all replies would read the same"),
        ("{{ messages[0].content }}", "writes no assistant message, so all replies would read the same"),
        ("a\n{% for m in messages %}", "is no Jinja template (line 2: Unexpected end of template. "),
        (" \n", "is empty"),
    ],
)  # fmt: skip
def test_a_template_without_replies_or_that_is_none_is_refused_before_anything_is_prepared(
    template: str, line: str, pairs: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(template)
    with pytest.raises(InputError) as refused:
        prepare_data(config_of(pairs, str(file)), tmp_path / "cache")
    assert line in str(refused.value) and str(refused.value).endswith(f"; {ACCEPTED}")
    assert "data.chat_template: " in str(refused.value) and str(file) in str(refused.value)
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_a_missing_file_is_one_line(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^data.chat_template: 'none.jinja' cannot be read: No such file"):
        prepare_data(config_of(pairs, "none.jinja"), tmp_path / "cache")


def test_the_template_of_a_file_is_kept_with_the_data_and_changes_their_key(pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("{% for m in messages %}{{ m.role }} says {{ m.content }}<|end|>{% endfor %}")
    config = config_of(pairs, str(file))
    data = prepare_data(config, tmp_path / "cache")
    tokenizer = data.load_tokenizer()
    assert tokenizer.apply_chat_template(CHAT, tokenize=False) == "user says Why?<|end|>assistant says So.<|end|>"
    first = data.train.ids[: data.train.token_starts[1]]
    assert tokenizer.decode(first).startswith("user says Question")
    before = preparation_key(config)
    file.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}<|end|>{% endfor %}")
    assert len({before, preparation_key(config), preparation_key(config_of(pairs, "plain"))}) == 3


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ({}, "User: Why?\n\nAssistant: So."),
        ({"bos_token": "<s>", "eos_token": "</s>"}, "<s>User: Why?\n\nAssistant: So.</s>"),
        ({"cls_token": "[CLS]", "sep_token": "[SEP]"}, "[CLS]User: Why?[SEP]Assistant: So.[SEP]"),
    ],
)
def test_plain_has_the_begin_separator_and_end_of_the_tokenizer(tokens: dict[str, str], text: str) -> None:
    backend = tiny_tokenizer(["Why? So."]).backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **tokens)
    tokenizer.chat_template = PLAIN
    assert tokenizer.apply_chat_template(CHAT, tokenize=False) == text
    chat = [Message(each["role"], each["content"]) for each in CHAT]
    assert set(ChatEncoder(tokenizer).encode_chats([chat], ["file:1"])[0].message.tolist()) == {-1, 0, 1}


def test_a_tokenizer_without_a_template_takes_plain(tmp_path: Path) -> None:
    made = tiny_tokenizer(["Why? So."])
    made.chat_template = None
    made.save_pretrained(tmp_path)
    with pytest.raises(InputError) as refused:
        load_tokenizer(str(tmp_path), [])
    assert str(refused.value) == f"backbone '{tmp_path}': its tokenizer has no chat template; {ACCEPTED}"
    assert load_tokenizer(str(tmp_path), [], chat_template="plain").chat_template == PLAIN


DATED = (
    "{%- if strftime_now is defined %}{% set day = strftime_now('%d %b %Y') %}{% endif %}"
    "Today: {{ day }}, {{ strftime_now('%-d.%m. at %H:%M') }}\n"
    "{%- for m in messages %}{{ m.role }}: {{ m.content.strip() }}\n{% endfor %}"
)


def test_a_frozen_date_is_the_text_of_that_day_and_stays(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(["Why? So."])
    tokenizer.chat_template = "\n  {% if true %} {% endif %}" + DATED
    now = datetime.now()
    fresh = tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert uses_date(tokenizer)
    freeze_date(tokenizer, now)
    frozen = tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert not uses_date(tokenizer)
    if datetime.now().minute == now.minute:
        assert frozen == fresh
    freeze_date(tokenizer, datetime(2024, 7, 6, 9, 5))  # a template that is frozen is not asked again
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.apply_chat_template(CHAT, tokenize=False) == tokenizer.apply_chat_template(CHAT, tokenize=False)
    chat = [Message(each["role"], each["content"]) for each in CHAT]
    assert set(ChatEncoder(loaded).encode_chats([chat], ["file:1"])[0].message.tolist()) == {-1, 0, 1}


def test_a_date_long_past_is_written_as_strftime_writes_it() -> None:
    tokenizer = tiny_tokenizer(["Why? So."])
    tokenizer.chat_template = DATED
    freeze_date(tokenizer, datetime(2024, 7, 6, 9, 5))
    assert str(tokenizer.apply_chat_template(CHAT, tokenize=False)).startswith("Today: 06 Jul 2024, 6.07. at 09:05user")


def test_all_data_of_a_storage_folder_have_one_date(pairs: Path, tmp_path: Path) -> None:
    file, cache = tmp_path / "dated.jinja", tmp_path / "cache"
    file.write_text(DATED)
    cache.mkdir()
    (cache / "chat_template_date").write_text("2024-07-06T09:05:00")
    data = prepare_data(config_of(pairs, str(file)), cache)
    first = data.train.ids[: data.train.token_starts[1]]
    assert data.load_tokenizer().decode(first).startswith("Today: 06 Jul 2024, 6.07. at 09:05user")
    assert np.array_equal(first[:8], data.train.ids[data.train.token_starts[1] :][:8])


def test_a_message_that_the_template_leaves_out_is_told(pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "last.jinja"
    file.write_text("{{ messages[-1].role }}: {{ messages[-1].content }}")
    facts = prepare_data(config_of(pairs, str(file)), tmp_path / "cache").facts
    assert facts.notes["the chat template leaves out user messages of conversations"] == 60
    assert "pairs: the chat template leaves out user messages of conversations (60)" in facts.describe_pairs()


def test_a_model_is_prepared_for_with_its_own_template_when_the_file_is_gone(pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(DATED)
    config = config_of(pairs, str(file))
    first = prepare_data(config, tmp_path / "cache")
    file.unlink()
    (tmp_path / "cache" / "chat_template_date").write_text("2020-01-01T00:00:00")  # another day, elsewhere
    again = prepare_data(with_saved_template(config, first.folder), tmp_path / "elsewhere")
    assert np.array_equal(first.train.ids, again.train.ids)


def test_a_model_is_evaluated_with_its_own_date_also_where_its_data_lie_prepared_with_another(tmp_path: Path) -> None:
    file, cache = tmp_path / "dated.jinja", tmp_path / "elsewhere" / "cache"
    file.write_text(DATED)
    model = save_untrained_model(tmp_path / "best", tmp_path / "cache", chat_template=str(file))
    own = (model / "tokenizer" / "chat_template.jinja").read_text()
    cache.mkdir(parents=True)
    (cache / "chat_template_date").write_text("2020-01-01T00:00:00")
    other = prepare_data(read_saved_config(model), cache).folder
    assert (other / "tokenizer" / "chat_template.jinja").read_text() != own
    evaluate_saved_model(model, tmp_path / "elsewhere")
    made = [each.parent for each in cache.glob("prepared/*/facts.json") if each.parent != other]
    assert [(each / "tokenizer" / "chat_template.jinja").read_text() for each in made] == [own]
    evaluate_saved_model(model, tmp_path)  # where it was trained nothing is prepared again
    assert len(list(tmp_path.glob("cache/prepared/*/facts.json"))) == 1


def test_what_a_template_leaves_out_of_scored_chats_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "last.jinja"
    file.write_text("{{ messages[-1].role }}: {{ messages[-1].content }}")
    scorer = RewardScorer(save_untrained_model(tmp_path / "best", tmp_path / "cache", chat_template=str(file)))
    scorer.score([CHAT, CHAT[1:], CHAT])
    assert caplog.messages == [
        "chats to score: the chat template leaves out user messages of conversations (2 of 3); later ones are not told"
    ]
    system = {"role": "system", "content": "Be brief."}
    scorer.score([CHAT, [system, *CHAT]])
    assert len(caplog.messages) == 2
    assert "leaves out system messages of conversations (1 of 2)" in caplog.messages[1]
    assert "user" not in caplog.messages[1]


def test_scored_chats_that_are_cut_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scorer = RewardScorer(save_untrained_model(tmp_path / "best", tmp_path / "cache", max_tokens=60))
    scorer.score([CHAT])
    assert not caplog.messages
    scorer.score([CHAT, [CHAT[0], {"role": "assistant", "content": "So. " * 90}]])
    assert caplog.messages[0].startswith("chats to score: conversations end at data.max_tokens (1 of 2)")
