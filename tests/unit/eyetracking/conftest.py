"""A made-up recording of EyeLink, as `edf2asc` writes it, whose fixations are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

Scanpath = Sequence[tuple[str | None, float, float, float]]


class AscWriter:
    """Writes fixations (name of the screen or None, x, y in pixels, seconds) with saccades of 24 ms between them."""

    def __init__(
        self,
        rate: int = 1000,
        screen: tuple[int, int] = (1280, 1024),
        events: bool = True,
        resolution: bool = True,
        samples: bool = True,
        eyes: str = "R",
        message: str = "TRIALID ",
        noise: float = 0.2,
    ) -> None:
        self.rate, self.screen, self.events, self.resolution = rate, screen, events, resolution
        self.samples, self.eyes, self.message, self.noise = samples, eyes, message, noise
        self.step = 1000 // rate
        self.random = np.random.default_rng(0)

    def __call__(self, path: Path, fixations: Scanpath) -> Path:
        named = {"R": "RIGHT", "L": "LEFT", "LR": "LEFT\tRIGHT"}[self.eyes]
        lines = [
            "** CONVERTED FROM made_up.edf using edfapi 4.2.1",
            "** DATE: Wed Mar  8 09:25:20 2023",
            "** VERSION: EYELINK II 1",
            "** EYELINK II CL v6.12 Feb  1 2018 (EyeLink Portable Duo)",
            f"MSG\t1001 RECCFG CR {self.rate} 2 1 {self.eyes}",
            "MSG\t1001 ELCLCFG BTABLER",
        ]
        if self.resolution:
            width, height = self.screen
            lines.append(f"MSG\t1001 GAZE_COORDS 0.00 0.00 {width - 1}.00 {height - 1}.00")
        lines += [f"START\t1002 \t{named}\tSAMPLES\tEVENTS"]
        lines += [f"{kind}\tGAZE\t{named}\tRATE\t {self.rate}.00\tTRACKING\tCR" for kind in ("EVENTS", "SAMPLES")]
        now, shown, before = 1004, None, None
        for screen, x, y, seconds in fixations:
            if screen != shown:
                lines += [f"MSG\t{now} TRIAL_RESULT 0"] if shown is not None else []
                lines += [f"MSG\t{now} {self.message}{screen}"] if screen is not None else []
                shown, before = screen, None
            if before is not None:
                steps = 24 // self.step
                for k in range(1, steps + 1):
                    left = 1 - k / (steps + 1)
                    now = self._sample(lines, now, x + (before[0] - x) * left, y + (before[1] - y) * left)
            start, count = now, round(seconds * 1000 / self.step)
            lines += [f"SFIX {eye}   {start}" for eye in self.eyes if self.events]
            for _ in range(count):
                dx, dy = self.random.normal(0.0, self.noise, 2)
                now = self._sample(lines, now, x + dx, y + dy)
            lines += [
                f"EFIX {eye}   {start}\t{now - self.step}\t{count * self.step}\t  {x:.1f}\t  {y:.1f}\t    900"
                for eye in self.eyes
                if self.events
            ]
            before = (x, y)
        lines += [f"MSG\t{now} TRIAL_RESULT 0", f"END\t{now} \tSAMPLES\tEVENTS\tRES\t  38.54\t  31.12"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        return path

    def _sample(self, lines: list[str], now: int, x: float, y: float) -> int:
        """Add a sample and return the time of the next. The left eye of a binocular recording is 300 pixels off."""
        left = f"  {x + 300:.2f}\t  {y:.2f}\t  800.0\t" if self.eyes == "LR" else ""
        if self.samples:
            lines.append(f"{now}\t{left}  {x:.2f}\t  {y:.2f}\t  900.0\t{'.....' if left else '...'}")
        return now + self.step


@pytest.fixture
def asc() -> Callable[..., AscWriter]:
    """Return the class that writes a recording of EyeLink."""
    pytest.importorskip("pymovements", reason="pymovements is not installed (extra eyetracking)")
    return AscWriter
