"""Backbones named by a hub id are checked as folders are: in the local cache, and by headers that the hub serves."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from gazetune.reward.model.tiny import tiny_backbone, tiny_tokenizer

COMMIT = "1" * 40
CODE = """
import sys
from gazetune.errors import InputError
from gazetune.reward.model.backbone import check_backbone_weights
try:
    check_backbone_weights(sys.argv[1])
except InputError as error:
    print(error)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    tiny_backbone().save_pretrained(folder)
    tiny_tokenizer(["why is the sky blue"]).save_pretrained(folder)
    return folder


def drop_norm(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["norm.weight"]
    save_file(weights, folder / "model.safetensors")


def check(home: Path, **environment: str) -> str:
    """Return what the check of `me/mine` refuses it with, in a process of its own; empty where it takes it."""
    variables = {**os.environ, "HF_HOME": str(home), **environment}
    code = [sys.executable, "-c", CODE, "me/mine"]
    ended = subprocess.run(code, capture_output=True, text=True, timeout=300, env=variables, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout.strip()


def fill_cache(home: Path, model: Path) -> Path:
    """Put a model into a hub cache, and return its snapshot."""
    repository = home / "hub" / "models--me--mine"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    return shutil.copytree(model, repository / "snapshots" / COMMIT)


def test_a_cached_model_is_checked_as_a_folder_is(model: Path, tmp_path: Path) -> None:
    snapshot = fill_cache(tmp_path / "home", model)
    assert check(tmp_path / "home") == ""
    drop_norm(snapshot)
    assert check(tmp_path / "home") == (
        f"{snapshot}/model.safetensors: 1 of the 20 weights of LlamaModel are missing (norm.weight); accepted: a "
        "checkpoint with every weight of its config.json"
    )


def test_a_model_without_weights_in_the_cache_is_refused_offline(model: Path, tmp_path: Path) -> None:
    (fill_cache(tmp_path / "home", model) / "model.safetensors").unlink()
    assert check(tmp_path / "home") == (
        "backbone 'me/mine': its weights are not all in the hub's local cache, and HF_HUB_OFFLINE forbids to download "
        "them; accepted: tiny, a local folder, a hub id that was downloaded"
    )


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as reading a model's small files and headers takes; it counts the bytes that it serves."""

    def __init__(self, folder: Path, served: list[int], *arguments: object) -> None:
        self.folder, self.served = folder, served
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if self.path.startswith("/api/models/me/mine"):
            return self.answer(200, f'{{"id": "me/mine", "sha": "{COMMIT}", "siblings": []}}'.encode())
        path = self.folder / self.path.rsplit("/", 1)[-1]
        if not path.is_file():
            return self.answer(404, b"")
        content = path.read_bytes()
        wanted = self.headers.get("Range")
        if wanted is None:
            return self.answer(200, content)
        first, last = wanted.removeprefix("bytes=").split("-")
        return self.answer(206, content[int(first) : int(last or len(content)) + 1], len(content), content)

    do_HEAD = do_GET

    def answer(self, status: int, body: bytes, size: int | None = None, content: bytes | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", hashlib.sha256(body if content is None else content).hexdigest())
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound")
        if size is not None:
            self.send_header("Content-Range", f"bytes 0-{len(body) - 1}/{size}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
            self.served.append(len(body))

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def hub(model: Path) -> Iterator[tuple[str, list[int]]]:
    served: list[int] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, model, served))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", served
    server.shutdown()
    server.server_close()


def test_a_model_on_the_hub_is_checked_by_its_headers(hub: tuple[str, list[int]], model: Path, tmp_path: Path) -> None:
    url, served = hub
    online = {"HF_ENDPOINT": url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    assert check(tmp_path / "home", **online) == ""
    drop_norm(model)
    assert check(tmp_path / "other home", **online) == (
        "backbone 'me/mine' on the hub: 1 of the 20 weights of LlamaModel are missing (norm.weight); accepted: a "
        "checkpoint with every weight of its config.json"
    )
    assert sum(served) < (model / "model.safetensors").stat().st_size
