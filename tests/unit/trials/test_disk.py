from __future__ import annotations

from pathlib import Path

from gazetune.trials.disk import drop_model, folder_bytes


def test_a_folder_has_the_bytes_of_all_files_below_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "one").write_bytes(bytes(700))
    (tmp_path / "two").write_bytes(bytes(33))
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    assert 733 <= folder_bytes(tmp_path) < 1000
    assert folder_bytes(tmp_path / "missing") == 0


def test_a_dropped_model_leaves_its_margins_and_may_be_dropped_again(tmp_path: Path) -> None:
    best = tmp_path / "best"
    (best / "tokenizer").mkdir(parents=True)
    for name in ("weights.safetensors", "config.yaml", "tokenizer/tokenizer.json", "rewards.npy"):
        (best / name).write_text("x")
    (tmp_path / ".best.partial").mkdir()
    (tmp_path / "margins").mkdir()
    (tmp_path / "config.yaml").write_text("x")
    for _ in range(2):
        drop_model(tmp_path)
        assert [path.name for path in best.iterdir()] == ["rewards.npy"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["best", "config.yaml", "margins"]


def test_a_trial_without_a_model_has_nothing_to_drop(tmp_path: Path) -> None:
    drop_model(tmp_path / "0000")
    assert not list(tmp_path.iterdir())
