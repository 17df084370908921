"""The environment every test runs in, the shared data that is no part of the repository, and small gaze predictors."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gazetune.devices import ACCELERATOR_VARIABLE, VISIBLE_VARIABLE

# Before any test module imports torch, Ray or MLflow; worker processes inherit it.
os.environ.update(HF_HUB_OFFLINE="1", RAY_USAGE_STATS_ENABLED="0", MLFLOW_DISABLE_TELEMETRY="true")
os.environ.setdefault("DS_ACCELERATOR", "cpu")  # a run of the gpu tests sets cuda
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Ray's workers are as nice as all else here: at Ray's own 15, tests beside them that compute would leave them no CPU.
os.environ.setdefault("RAY_worker_niceness", "0")
# An instance of Ray for each process that runs tests, whatever else runs on the machine; short, for it holds sockets.
_RAY = tempfile.mkdtemp(prefix="ray", dir="/tmp")
os.environ["RAY_TMPDIR"] = _RAY


LONG_PARTS = ("demo", "gaze", "kills", "nodes", "rules", "training")
"""What `make test-long PART=...` may name; each part ends within an hour on two cores."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--part`, which chooses among the tests that take minutes."""
    parser.addoption("--part", choices=LONG_PARTS, help="run this part of the long tests alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests of other parts than `--part`; refuse a long test that names no part."""
    part = config.getoption("--part")
    left_out = []
    for item in items:
        for mark in item.iter_markers("long"):
            if not mark.args or mark.args[0] not in LONG_PARTS:
                raise pytest.UsageError(f"{item.nodeid}: long({', '.join(LONG_PARTS)}): a long test names its part")
            if part is not None and mark.args[0] != part:
                left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def pytest_unconfigure() -> None:
    """Take Ray's files away."""
    shutil.rmtree(_RAY, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_remembered_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no password of one test be hidden in the messages of the next."""
    monkeypatch.setattr("gazetune.errors.redact._remembered", set())


@pytest.fixture(autouse=True)
def own_log_level() -> Iterator[None]:
    """Give each test the log level that gazetune starts with: a command called in this process sets its own."""
    log = logging.getLogger("gazetune")
    level = log.level
    yield
    log.setLevel(level)


@pytest.fixture(autouse=True)
def own_devices() -> Iterator[None]:
    """Give each test the devices that the run began with: a command called in this process hides the GPUs from it."""
    before = {name: os.environ.get(name) for name in (VISIBLE_VARIABLE, ACCELERATOR_VARIABLE)}
    yield
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of shared data: `GAZETUNE_SHARED`, else `../shared` beside the repository."""
    folder = Path(os.environ.get("GAZETUNE_SHARED") or Path(__file__).parents[2] / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"no shared data in {folder} (set GAZETUNE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def bilstm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return random weights with the published keys and shapes of `bilstm`, and a tokenizer whose tokens are short."""
    import torch
    from tokenizers import Tokenizer, pre_tokenizers, processors
    from torch import nn

    from tests.tokenizers import unigram_of_characters

    folder = tmp_path_factory.mktemp("bilstm")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = nn.ModuleDict(
            {
                "emb": nn.Embedding(32128, 512),
                "lstm": nn.LSTM(512, 128, num_layers=2, bidirectional=True),
                "head": nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 1)),
            }
        )
    tensors = network.state_dict()
    tensors["head.2.weight"] *= 20  # so that levels differ between tokens
    tensors["head.2.bias"] += 4  # and lie between the ends of the scale, 0 and 11
    torch.save(tensors, folder / "T5-tokenizer-BiLSTM-TRT-12-concat-3")
    texts = ["the quick brown fox jumps over", "a lazy dog; reading takes time"]
    tokenizer = Tokenizer(unigram_of_characters(texts, ["<pad>", "</s>", "<unk>"]))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def roberta_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return random weights with the published keys of `roberta`, of a small one whose config stands beside them."""
    import torch
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import RobertaConfig

    from gazetune.gaze.networks.roberta import ROBERTA_BASE, build_network

    folder = tmp_path_factory.mktemp("roberta")
    small = {
        **ROBERTA_BASE,
        "model_type": "roberta",
        "vocab_size": 260,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    (folder / "config.json").write_text(json.dumps(small))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        tensors = build_network(RobertaConfig.from_dict(small)).state_dict()
    tensors["decoder.weight"] *= 20
    tensors["decoder.bias"] += 30  # between the ends of the scale, 0 and 100
    save_file(tensors, folder / "et_predictor2_seed123.safetensors")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = {name: number for number, name in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=names, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
