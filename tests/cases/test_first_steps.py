"""What a new user meets who brings an encoder: told by `plan`, before anything is prepared, in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
from transformers.utils.logging import enable_progress_bar

from gazetune.cli.main import main
from gazetune.config.config_file import load_config
from gazetune.reward.saved.reward_scorer import RewardScorer

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "why", "is", "the", "sky", "blue"]


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A small BERT whose tokenizer has no chat template, as published encoders have none."""
    folder = tmp_path / "bert"
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
    plain = Tokenizer(models.WordPiece({word: id for id, word in enumerate(WORDS)}, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
    return folder


def write_inputs(tmp_path: Path, bert: Path, adapter: str = "{kind: lora}") -> tuple[Path, Path]:
    """Write a config and a search space of the same base, and their pairs."""
    pairs, config, space = (tmp_path / name for name in ("pairs.jsonl", "config.yaml", "space.yaml"))
    rows = [{"prompt": f"why {n}", "chosen": f"the sky {n}", "rejected": "blue"} for n in range(40)]
    pairs.write_text("\n".join(json.dumps(row) for row in rows))
    base = f"{{backbone: {bert}, adapter: {adapter}, data: {{source: {pairs}}}}}"
    config.write_text(base)
    space.write_text(f"name: mine\nbase: {base}\nspace: {{optim.learning_rate: {{log_uniform: [1e-5, 1e-3]}}}}\n")
    return config, space


@pytest.mark.parametrize("kind", ["config", "space"])
def test_a_plan_finds_that_a_template_is_missing(
    kind: str, bert: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config, space = write_inputs(tmp_path, bert)
    assert main(["plan", str(config if kind == "config" else space)]) == 2
    told = capfd.readouterr().err.splitlines()[-1]
    assert told.startswith(f"gazetune: error: backbone '{bert}': its tokenizer has no chat template; ")


@pytest.mark.parametrize("kind", ["config", "space"])
def test_a_plan_finds_targets_that_are_not_there_and_names_those_that_are(
    kind: str, bert: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (bert / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }} {% endfor %}")
    config, space = write_inputs(tmp_path, bert, "{kind: lora, targets: [q_proj, v_proj]}")
    assert main(["plan", str(config if kind == "config" else space)]) == 2
    assert capfd.readouterr().err.splitlines()[-1] == (
        "gazetune: error: adapter.targets: the backbone has no module 'q_proj'; accepted: auto, all-linear, dense, "
        "key, query, value"
    )


@pytest.mark.parametrize("kind", ["config", "space"])
def test_an_encoder_is_planned_with_its_own_targets(
    kind: str, bert: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (bert / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }} {% endfor %}")
    config, space = write_inputs(tmp_path, bert)
    enable_progress_bar()  # as in a fresh process
    assert main(["plan", str(config if kind == "config" else space), "--json"]) == 0
    told = capfd.readouterr()
    assert "Loading" not in told.err
    assert "adapter.targets: auto takes query, value of BertModel" in caplog.messages
    # Two layers, query and value, A [8, 32] and B [32, 8]; beside them projector and head.
    assert json.loads(told.out)["parameters"]["trained"] > 2 * 2 * 2 * 8 * 32


def test_the_example_of_an_encoder_in_the_documentation_runs(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    section = page.split("## An encoder as the backbone")[1].split("\n## ")[0]
    config = section.split("```yaml\n")[1].split("```")[0].replace("google-bert/bert-base-uncased", str(bert))
    commands = [line.split()[1:] for line in section.splitlines() if line.startswith("    gazetune ")]
    assert [words[0] for words in commands] == ["plan", "train", "train"]
    write_inputs(tmp_path, bert)
    (tmp_path / "bert.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)
    for words in commands:
        assert main(words) == 0, capfd.readouterr().err[-2000:]
    saved = load_config(tmp_path / "gazetune_runs" / "bert" / "best" / "config.yaml")
    assert saved.adapter.targets == ("query", "value")
    # Where the page says that the reward is read.
    scorer = RewardScorer(tmp_path / "gazetune_runs" / "bert" / "best")
    chat = [{"role": "user", "content": "why is the sky"}, {"role": "assistant", "content": "blue"}]
    states = []
    scorer.model.backbone.register_forward_hook(lambda module, given, result: states.append(result.last_hidden_state))
    reward = scorer.score([chat])
    torch.testing.assert_close(reward, scorer.model.head(states[0][:, 0]).flatten().detach())


def test_a_data_file_that_is_not_there_is_told_before_anything_is_prepared(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gone, storage = tmp_path / "gone.jsonl", tmp_path / "runs"
    for command in (["train"], ["search", "demo"]):
        assert main([*command, "--set", f"data.source={gone}", "--storage", str(storage)]) == 2
        assert (
            capfd.readouterr()
            .err.splitlines()[-1]
            .startswith(f"gazetune: error: data.source: there is no file '{gone}'")
        )
        assert not storage.exists() or not [path for path in storage.rglob("*") if path.is_file()]
