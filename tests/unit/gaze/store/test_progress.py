from __future__ import annotations

import io

from rich.console import Console

from gazetune.gaze.store.progress import StoreProgress


def test_without_a_terminal_the_first_and_the_last_state_are_lines() -> None:
    out = io.StringIO()
    with StoreProgress(Console(file=out, width=80, log_time=False, log_path=False)) as progress:
        for done in range(101):
            progress.show_progress(done, 100)
    assert [line.strip() for line in out.getvalue().splitlines()] == [
        "0 of 100 texts predicted",
        "100 of 100 texts predicted",
    ]
    assert progress.describe() == "100 of 100 texts predicted"


def test_on_a_terminal_there_is_a_bar() -> None:
    out = io.StringIO()
    with StoreProgress(Console(file=out, width=80, force_terminal=True)) as progress:
        progress.show_progress(40, 100)
    assert "40/100" in out.getvalue()
