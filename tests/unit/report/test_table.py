from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console

from gazetune.report.document import EndedRecord, ImportanceRecord, ParetoRecord, SearchDocument, TrialRecord
from gazetune.report.table import MAX_ROWS, print_table
from gazetune.report.wording import ended_line, state_verdict

Maker = Callable[..., SearchDocument]


def printed(document: SearchDocument, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_table(document, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line.startswith("│")]


def test_trials_stand_in_their_order_with_what_they_are(document: Maker) -> None:
    found = [row for row in rows(printed(document())) if row[0].isdigit()]
    assert [row[1:3] for row in found] == [
        ["0003", "COMPLETE"],
        ["0000", "COMPLETE"],
        ["0002", "PRUNED"],
        ["0001", "FAIL"],
    ]
    assert found[0][3] == "learning_rate=0.00123, fusion=add, features=FFD+TRT, dropout=0.1/0.3"
    assert found[0][4:] == ["2100", "87.0"]
    assert found[3][5] == "-"


def test_a_reason_with_brackets_is_printed_as_it_is(document: Maker) -> None:
    assert "NaN loss at step 2 [stage|2]" in printed(document())


def test_best_and_baselines_have_intervals(document: Maker) -> None:
    text = printed(document())
    assert "test accuracy 85.3 % (95 % interval 81.7 to 88.3, n = 450)" in " ".join(text.split())
    assert ["no gaze", "64.0 (59.5 to 68.3)", "+21.3 (+16.2 to +26.4)"] in rows(text)
    assert ["prefer the shorter reply", "50.0 (45.4 to 54.6)", "+35.3 (+29.8 to +40.5)"] in rows(text)


def test_a_cap_that_ended_the_search_is_printed(document: Maker) -> None:
    ended = EndedRecord("search.max_hours", 0.5, trials=4, planned=30)
    assert ended_line(ended) in printed(document(ended_by=ended))
    assert "Ended early" not in printed(document())


def test_a_pareto_front_is_printed(document: Maker) -> None:
    text = printed(document(pareto=(ParetoRecord("0003", {"val/accuracy": 0.87, "train_seconds": 4.04}),)))
    assert ["0003", "0.87", "4.04"] in rows(text)


def test_the_keys_that_mattered_most_are_printed_or_why_they_are_not_known(document: Maker) -> None:
    shares = {f"optim.key{number}": share for number, share in enumerate((0.5, 0.2, 0.15, 0.1, 0.04, 0.01))}
    text = " ".join(printed(document(importance=ImportanceRecord(shares, 12))).split())
    assert "What mattered most (PED-ANOVA; to be in the better half of 12 trials, stopped ones included): " in text
    assert ": optim.key0 50 %, optim.key1 20 %" in text
    unknown = document(importance=ImportanceRecord(missing="that takes 10 COMPLETE trials, and there are 2"))
    assert "What mattered most cannot be said: that takes 10 COMPLETE trials, and there are 2." in printed(unknown)
    assert "mattered" not in printed(document())


def test_the_verdict_is_printed_with_and_without_a_winner(document: Maker) -> None:
    lost = document(best=None, baselines={"no_gaze": None, "shorter": None})
    for made in (document(), lost):
        assert state_verdict(made) in printed(made, width=400)
    assert "baseline" not in printed(lost)


def test_a_narrow_terminal_keeps_states_and_numbers_whole(document: Maker) -> None:
    text = printed(document(), width=80)
    assert "COMPLETE" in text and "87.0" in text and max(len(line) for line in text.splitlines()[:12]) <= 80


def test_a_long_search_says_how_many_trials_it_leaves_out(document: Maker) -> None:
    trials = tuple(TrialRecord(f"{i:04d}", "PRUNED", {}, 1, 0.5, 1.0, None) for i in range(MAX_ROWS + 7))
    assert "7 more trials" in printed(document(trials=trials))
