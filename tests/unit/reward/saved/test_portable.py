"""A portable model gives the same rewards when everything that it came from is gone and it lies elsewhere."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from gazetune.cli.main import main
from gazetune.config import MEASURES, Config
from gazetune.errors import InputError
from gazetune.gaze.predictors.lexical import SHIPPED_WEIGHTS
from gazetune.gaze.predictors.planted import planted_measures
from gazetune.gaze.words import word_spans
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.prepared_data import prepare_data
from gazetune.reward.saved.portable import export_portable
from gazetune.reward.saved.reward_scorer import RewardScorer
from tests.saved_models import save_perturbed_model

CHATS = [
    [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": reply}]
    for reply in ("No.", "Reading takes time, and tax forms take more.")
]


def make_card(outside: list[str]) -> str:
    return "\n".join(outside)


def config_with(planted_config: Config, backbone: str, gaze: dict[str, object]) -> Config:
    tree = planted_config.model_dump(mode="json")
    return Config.model_validate(
        {
            **tree,
            "data": {"source": "planted", "pairs": 40},
            "backbone": backbone,
            "gaze": gaze,
            "fusion": {"kind": "add"},
        }
    )


@pytest.mark.parametrize("predictor", ["lexical", "bilstm"])
def test_it_needs_nothing_of_where_it_came_from(
    predictor: str,
    planted_config: Config,
    backbone_folder: Callable[..., Path],
    bilstm_folder: Path,
    cache: Path,
    tmp_path: Path,
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    if predictor == "lexical":
        shutil.copyfile(SHIPPED_WEIGHTS, source / "fitted.safetensors")
        gaze: dict[str, object] = {"predictor": "lexical", "path": str(source / "fitted.safetensors")}
    else:
        shutil.copytree(bilstm_folder, source / "bilstm")
        gaze = {"predictor": "bilstm", "path": str(source / "bilstm"), "features": ["TRT"]}
    shutil.move(backbone_folder("llama"), source / "backbone")
    config = config_with(planted_config, str(source / "backbone"), gaze)
    save_perturbed_model(tmp_path / "best", config, prepare_data(config, cache))
    expected = RewardScorer(tmp_path / "best").score(CHATS)
    assert expected[0] != expected[1]

    assert export_portable(tmp_path / "best", tmp_path / "out", make_card) == []
    shutil.rmtree(source)
    shutil.rmtree(tmp_path / "best")
    shutil.move(tmp_path / "out", tmp_path / "moved")
    assert torch.equal(RewardScorer(tmp_path / "moved").score(CHATS), expected)
    text = (tmp_path / "moved" / "config.yaml").read_text()
    assert str(tmp_path) not in text, "a path of the machine that it was trained on"


def test_a_portable_model_is_exported_again(planted_config: Config, cache: Path, tmp_path: Path) -> None:
    shutil.copyfile(SHIPPED_WEIGHTS, tmp_path / "fitted.safetensors")
    gaze: dict[str, object] = {"predictor": "lexical", "path": str(tmp_path / "fitted.safetensors")}
    config = config_with(planted_config, "tiny", gaze)
    save_perturbed_model(tmp_path / "best", config, prepare_data(config, cache))
    expected = RewardScorer(tmp_path / "best").score(CHATS)
    export_portable(tmp_path / "best", tmp_path / "one", make_card)
    export_portable(tmp_path / "one", tmp_path / "two", make_card)
    for gone in ("best", "one"):
        shutil.rmtree(tmp_path / gone)
    assert torch.equal(RewardScorer(tmp_path / "two").score(CHATS), expected)


def test_recorded_measures_of_readers_stay_where_they_are(planted_config: Config, cache: Path, tmp_path: Path) -> None:

    base = config_with(planted_config, "tiny", {"predictor": "planted"})
    splits = load_splits(base.data)
    pairs = [*splits.train, *splits.validation, *splits.test]
    texts = dict.fromkeys(text for pair in pairs for text in (pair.chosen, pair.rejected))
    rows = []
    for text in texts:
        for (start, end), values in zip(word_spans(text).tolist(), planted_measures(text, 0).tolist(), strict=True):
            row = {"text_sha256": sha256(text.encode()).hexdigest(), "reader": "r", "word": text[start:end]}
            measures = dict(zip(MEASURES, values, strict=True))
            rows.append({**row, "start": start, "end": end, **measures})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "gaze.parquet")
    gaze = {"predictor": "recorded", "path": str(tmp_path / "gaze.parquet"), "scope": "response"}
    config = config_with(planted_config, "tiny", gaze)
    save_perturbed_model(tmp_path / "best", config, prepare_data(config, cache))
    outside = export_portable(tmp_path / "best", tmp_path / "out", make_card)
    (told,) = outside
    assert told.startswith("gaze.path gaze.parquet: recorded measures of readers")
    assert str(tmp_path) not in (tmp_path / "out" / "README.md").read_text(), "a card is made to be shared"
    assert not (tmp_path / "out" / "gaze").exists()
    chat = [{"role": "user", "content": "x"}, {"role": "assistant", "content": next(iter(texts))}]
    (tmp_path / "gaze.parquet").rename(tmp_path / "elsewhere.parquet")
    moved = str(tmp_path / "elsewhere.parquet")
    rewards = [RewardScorer(tmp_path / each, gaze_path=moved).score([chat]) for each in ("best", "out")]
    np.testing.assert_array_equal(*rewards)


def test_a_folder_that_is_taken_is_refused(planted_config: Config, cache: Path, tmp_path: Path) -> None:
    config = config_with(planted_config, "tiny", {"predictor": "planted"})
    save_perturbed_model(tmp_path / "best", config, prepare_data(config, cache))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="is there already; accepted: a new or an empty folder"):
        export_portable(tmp_path / "best", tmp_path / "out", make_card)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_the_command_chooses_the_format_and_refuses_gaze_for_transformers(
    planted_config: Config, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_with(planted_config, "tiny", {"predictor": "planted"})
    card = "---\ntags: [gaze]\n---\n# Reward model\n\n## Use\n\nuse\n\n## Licence\n\nlicence\n"
    save_perturbed_model(tmp_path / "best", config, prepare_data(config, cache), card)
    command = ["export", str(tmp_path / "best"), "--out", str(tmp_path / "out")]
    assert main([*command, "--format", "transformers"]) == 2
    error = capsys.readouterr().err
    assert "sees gaze, and a plain sequence-classification model does not; accepted: --format gazetune" in error
    assert not (tmp_path / "out").exists()
    assert main(command) == 0
    assert "exported to" in capsys.readouterr().out
    assert (tmp_path / "out" / "README.md").read_text().count("## Use") == 1
    assert len(RewardScorer(tmp_path / "out").score(CHATS)) == 2
