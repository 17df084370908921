"""What goes on is said when it begins and again while nothing else is printed."""

from __future__ import annotations

import io
import threading
import time

from rich.console import Console

from gazetune.report.activity import ActivityLines
from tests.commands import BOUND


class Lines(io.StringIO):
    """What is printed, and an event for each line that is waited for."""

    def wait_for(self, text: str) -> str:
        deadline = time.monotonic() + BOUND
        while text not in self.getvalue():
            assert time.monotonic() < deadline, self.getvalue()
            time.sleep(0.005)
        return self.getvalue()


def test_an_activity_is_repeated_with_how_far_it_is() -> None:
    out, done = Lines(), [0]

    def describe() -> str:
        done[0] += 1
        return f"{done[0]}/800 pairs"

    with ActivityLines(Console(file=out, width=200), every=0.01) as lines:
        lines.begin("training", describe)
        shown = out.wait_for("3/800 pairs (")
    assert shown.index("training") < shown.index("1/800 pairs (") < shown.index("2/800 pairs (")


def test_without_description_the_activity_itself_is_repeated_until_the_next_one() -> None:
    out = Lines()
    with ActivityLines(Console(file=out, width=200), every=0.01) as lines:
        lines.begin("preparing [pairs]")
        out.wait_for("preparing [pairs] (0 s)")
        lines.begin("scoring")
        before = out.wait_for("scoring (0 s)")
    assert "preparing" not in before[before.index("scoring") :]


def test_nothing_is_repeated_before_the_first_activity_and_after_the_end() -> None:
    out = Lines()
    lines = ActivityLines(Console(file=out, width=200), every=0.01)
    time.sleep(0.05)
    assert out.getvalue() == ""
    lines.begin("training")
    lines.close()
    shown = out.getvalue()
    assert "activity lines" not in [thread.name for thread in threading.enumerate()]
    lines.print_line("the end")
    assert out.getvalue().startswith(shown) and "the end" in out.getvalue()


def test_a_line_puts_the_next_repetition_off() -> None:
    out = Lines()
    with ActivityLines(Console(file=out, width=200), every=1000.0) as lines:
        lines.begin("training")
        lines.repeat_every(0.01)
        out.wait_for("training (0 s)")
        lines.begin("scoring")  # has the usual time again
        time.sleep(0.1)
        assert "scoring (0 s)" not in out.getvalue()
