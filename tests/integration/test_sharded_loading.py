"""A backbone loaded under ZeRO-3 by two real worker processes: no process ever holds the whole of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from tests.commands import BOUND

WORKER = """
import json, sys, threading, time
from pathlib import Path
import torch
torch.set_num_threads(1)
from gazetune.config import Config
from gazetune.reward.model.backbone import load_backbone
from gazetune.reward.model.adapter import apply_adapter
from gazetune.train.processes.deepspeed_config import deepspeed_config
from gazetune.train.processes.worker_group import join_worker_group, leave_worker_group

def anonymous():
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) * 1024

folder, out, sharding = sys.argv[1], Path(sys.argv[2]), sys.argv[3] == "sharded"
worker = join_worker_group()
config = Config.model_validate({
    "backbone": folder, "train": {"batch_size": 2}, "resources": {"workers": 2},
    "adapter": {"kind": "lora", "dropout": 0.0},
    "deepspeed": {"stage": 3, "override": {"zero_optimization": {"stage3_param_persistence_threshold": 0}}},
})
settings = deepspeed_config(config, worker.world_size, torch.float32)
load_backbone("tiny", torch.float32, sharded=settings if sharding else None)  # what is imported for it counts not
worker.wait_for_all()
before, peak, loading = anonymous(), [0], [True]
def watch():
    while loading[0]:
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.001)
watcher = threading.Thread(target=watch)
watcher.start()
model = load_backbone(folder, torch.float32, sharded=settings if sharding else None)
loading[0] = False
watcher.join()
peak[0] = max(peak[0], anonymous())  # the watcher may have had no turn at the end
held = sum(each.ds_tensor.numel() if sharding else each.numel() for each in model.parameters()) * 4

import deepspeed
from transformers.integrations import is_deepspeed_zero3_enabled
torch.manual_seed(0)
model = apply_adapter(model, config.adapter)
trained = [each for each in model.parameters() if each.requires_grad]
engine, *_ = deepspeed.initialize(
    model=model, optimizer=torch.optim.AdamW(trained, lr=1e-3), config=settings, dist_init_required=False
)
torch.manual_seed(0)
embedded = torch.randn(1, 8, model.config.hidden_size)
losses = []
for step in range(3):
    loss = engine(inputs_embeds=embedded, use_cache=False).last_hidden_state.square().mul(
        torch.linspace(-1, 1, model.config.hidden_size)).mean()
    losses.append(loss.item())
    engine.backward(loss)
    engine.step()
out.with_suffix(f".{worker.rank}").write_text(json.dumps(
    {"peak": peak[0] - before, "held": held, "losses": losses, "still_on": is_deepspeed_zero3_enabled()}))
leave_worker_group()
"""


def run(folder: Path, out: Path, how: str) -> list[dict]:
    script = out.with_suffix(".py")
    script.write_text(WORKER)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    # Freed tensors go back to the system at once, so that the memory in use is seen and not what was.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [*launcher, str(script), str(folder), str(out), how]
    done = subprocess.run(command, capture_output=True, timeout=BOUND, env=environment)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return [json.loads(out.with_suffix(f".{rank}").read_text()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        shape = LlamaConfig(
            vocab_size=512, hidden_size=768, intermediate_size=2048, num_hidden_layers=8, num_attention_heads=8
        )
        # Loaded in float32 below: otherwise weights could stay in the mapped file, and no memory would be seen.
        LlamaModel(shape).to(torch.bfloat16).save_pretrained(folder)
    return folder


def test_no_worker_ever_holds_the_whole_model_and_it_trains_like_one_loaded_whole(folder: Path, tmp_path: Path) -> None:
    size = 2 * (folder / "model.safetensors").stat().st_size
    sharded = run(folder, tmp_path / "sharded", "sharded")
    whole = run(folder, tmp_path / "whole", "whole")
    for rank in (0, 1):
        assert sharded[rank]["held"] == pytest.approx(size / 2, rel=0.02)
        assert sharded[rank]["peak"] < 0.75 * size, f"peak {sharded[rank]['peak'] / size:.2f} of the model"
        assert not sharded[rank]["still_on"], "other models must load whole again"
        assert whole[rank]["held"] == pytest.approx(size, rel=0.02)
        assert whole[rank]["peak"] > 0.85 * size, "the measure must see a model that is whole"
    assert max(abs(value) for value in whole[0]["losses"]) > 1e-4
    assert sharded[0]["losses"] == pytest.approx(whole[0]["losses"], rel=1e-5)
    assert len(set(sharded[0]["losses"])) == 3
