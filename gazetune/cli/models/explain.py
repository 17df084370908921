"""`gazetune explain`: which reading measures and words moved a reward."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gazetune.cli.program.options import Subparsers, add_json_option, add_storage_option, path_argument
from gazetune.cli.program.outcome import Outcome
from gazetune.errors import InputError

if TYPE_CHECKING:
    from gazetune.preferences.pair import Message


def add_parser(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "explain", help="which reading measures and words moved a reward", allow_abbrev=False
    )
    parser.add_argument(
        "model",
        metavar="RUN",
        help="a saved model: its folder, the name of a run or a finished search, NAME:RANK, or an MLflow run id",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--pair", metavar="FILE:ROW", help="the chosen and the rejected reply of a preference pair")
    what.add_argument("--text", help="this reply; - reads it from standard input")
    parser.add_argument("--prompt", help="with --text: what the user asked")
    parser.add_argument(
        "--out", type=path_argument, metavar="FILE", help="draw it over the text: FILE.png or FILE.html"
    )
    parser.add_argument(
        "--steps", type=int, default=64, help="points of the integrated gradients, a pass each (default: 64)"
    )
    parser.add_argument(
        "--shuffles", type=int, default=20, help="orders in which words get each other's measures (default: 20)"
    )
    add_storage_option(parser)
    add_json_option(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> Outcome:
    """Explain the rewards, and draw them where asked to."""
    for option, value, least in (("--steps", args.steps, 1), ("--shuffles", args.shuffles, 0)):
        if value < least:
            raise InputError(f"{option}: {value}; accepted: {least} or more")
    chats = _read_chats(args)
    if args.out is not None:
        from gazetune.pictures.plot import check_picture_file

        check_picture_file(args.out)
    from gazetune.explain.explanation import explain_rewards, explanation_document
    from gazetune.explain.explanation_picture import draw_explanation
    from gazetune.models.resolve import resolve_saved_model
    from gazetune.pictures.plot import write_picture
    from gazetune.reward.saved.reward_scorer import RewardScorer

    folder = resolve_saved_model(args.model, args.storage)
    explained = explain_rewards(RewardScorer(folder), chats, args.steps, args.shuffles)
    files = [] if args.out is None else write_picture(args.out, draw_explanation(args.model, explained))
    document = {**explanation_document(str(folder), explained), "files": [str(file) for file in files]}

    def print_for_people() -> None:
        from rich.console import Console

        from gazetune.explain.explanation_picture import list_sentences, list_strongest_words, tabulate_measures
        from gazetune.report.table import make_text_table

        console = Console(soft_wrap=True)
        for sentence in list_sentences(explained):
            console.print(sentence, markup=False, highlight=False)
        header, rows = tabulate_measures(explained)
        console.print(make_text_table("By measure", [header, *rows]))
        for each in explained:
            words = [["word", "in", "adds", "of which"], *list_strongest_words(each)]
            console.print(
                make_text_table(f"Words that move it most{f', {each.caption}' if each.caption else ''}", words)
            )
        for file in files:
            print(file)

    return Outcome(document, print_for_people)


def _read_chats(args: argparse.Namespace) -> dict[str, tuple[Message, ...]]:
    """Return the conversations to explain by their captions."""
    from gazetune.cli.gaze.text_argument import read_text_argument
    from gazetune.preferences.pair import Message
    from gazetune.preferences.read_pairs import read_pair_at

    if args.pair is not None:
        if args.prompt is not None:
            raise InputError("--prompt: goes with --text; the pair has its own prompt")
        pair = read_pair_at(args.pair)
        return {"chosen": pair.chat_with(pair.chosen), "rejected": pair.chat_with(pair.rejected)}
    reply = Message("assistant", read_text_argument(args.text))
    return {"": (reply,) if args.prompt is None else (Message("user", args.prompt), reply)}
