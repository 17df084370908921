"""A search whose trials need different resources, on this machine: two trials of one worker fit, or one of two."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.commands import gazetune

SPACE = """
name: shapes
base:
  data: {source: planted, pairs: 600, seed: 0}
  backbone: tiny
  gaze: {predictor: planted}
  fusion: {kind: none}
  train: {batch_size: 32}
space:
  layout: {choice: {narrow: {resources.workers: 1}, wide: {resources.workers: 2, deepspeed.stage: 2}}}
search: {confirm: off, trials: 2, sampler: grid, scheduler: none}
"""


@pytest.mark.long("nodes")
def test_trials_of_each_shape_get_slots_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(SPACE)
    done = gazetune("search", tmp_path / "space.yaml", "--storage", tmp_path / "runs", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    document = json.loads(done.stdout)
    found = {trial["params"]["resources.workers"]: trial for trial in document["trials"]}
    assert [found[workers]["state"] for workers in (1, 2)] == ["COMPLETE", "COMPLETE"]
    # How training goes does not depend on how many workers share it.
    assert abs(found[1]["val_accuracy"] - found[2]["val_accuracy"]) < 0.05
    assert document["best"]["test"]["n"] > 0 and document["baselines"]["no_gaze"] is not None
    # A line of the same second as the one before has spaces in the place of the time.
    placed = re.findall(r"^(?:\[[\d:]+\]|\s+) (\d+ slot\(s\) of \d worker\(s\))", done.stderr, re.MULTILINE)
    assert {"1 slot(s) of 2 worker(s)", "1 slot(s) of 1 worker(s)"} <= set(placed), "one made room for the other"
    assert not re.search(r"slot\(s\) of \d worker\(s\), \d slot", done.stderr), "both do not fit at once"
    assert "lost its place" not in done.stderr, "nor does one take what was granted to the other"
