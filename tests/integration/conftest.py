"""A real browser, for tests of pages: what it shows, and what it complains about."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium on this machine (Debian package chromium)")
    return found


@pytest.fixture
def browse(chromium: str, tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Return a function that runs the browser on a file with more flags, and returns its output and its log."""

    def run(page: Path, *flags: str) -> tuple[str, str]:
        profile = tmp_path / "profile"
        command = [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            "--log-level=0",
            f"--user-data-dir={profile}",
            *flags,
            page.as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, timeout=120, check=False)
        shutil.rmtree(profile, ignore_errors=True)
        log = done.stderr.decode(errors="replace")
        assert done.returncode == 0, log[-2000:]
        return done.stdout.decode(), "\n".join(line for line in log.splitlines() if "CONSOLE" in line)

    return run


@pytest.fixture
def screenshot(browse: Callable[..., tuple[str, str]], tmp_path: Path) -> Callable[..., NDArray[Any]]:
    """Return a function that gives a page as the browser shows it, [height, width, 3]."""

    def take(page: Path, width: int, height: int, *flags: str) -> NDArray[Any]:
        file = tmp_path / "screen.png"
        _, complaints = browse(page, f"--window-size={width},{height}", f"--screenshot={file}", *flags)
        assert complaints == ""
        with Image.open(io.BytesIO(file.read_bytes())) as image:
            return np.asarray(image.convert("RGB")).astype(int)

    return take
