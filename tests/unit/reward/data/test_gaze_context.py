"""Chats read as one text: the same units on the same tokens as message by message, but gaze on prompts sees replies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gazetune.config import MEASURES, Config
from gazetune.errors import InputError
from gazetune.gaze.predictors.planted import planted_measures
from gazetune.gaze.predictors.registry import check_predictor, create_predictor
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.splits import load_splits
from gazetune.reward.data.dataset import SPLITS, PreparedData
from gazetune.reward.data.gaze_chat_encoder import GazeChatEncoder
from gazetune.reward.data.gaze_context import BETWEEN_MESSAGES, find_passages
from gazetune.reward.data.prepared_data import preparation_key, prepare_data
from gazetune.reward.data.stored_gaze import store_pair_gaze
from gazetune.reward.layout.batch_layout import BatchLayout
from gazetune.reward.layout.batching import EncodedSplit

TURNS = ["user\nsays  hi\t😀 there", "  Well — it is <|end|> 20 °C.\n", "and 你好 café?"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs with a prompt of three messages, and texts that are hard to keep in place."""
    path = tmp_path_factory.mktemp("source") / "pairs.jsonl"
    roles = ("user", "assistant", "user")
    rows = [
        {
            "prompt": [{"role": role, "content": f"{text} {n}"} for role, text in zip(roles, TURNS, strict=True)],
            "chosen": f"Yes, {n} of them 👩‍👩‍👧 exactly; " + "more words " * (n % 4),
            "rejected": f"No idea\n\nabout {n}.",
        }
        for n in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def config_of(source: Path, kind: str = "add", max_tokens: int | None = None, **gaze: Any) -> Config:
    data = {"source": str(source), "max_tokens": max_tokens}
    return Config.model_validate(
        {"data": data, "gaze": {"predictor": "planted", "context": "chat", **gaze}, "fusion": {"kind": kind}}
    )


def sequences(config: Config, data: PreparedData) -> list[tuple[EncodedSplit, int, PreferencePair, str]]:
    """Return every conversation: its split, its row there, its pair, and its messages as one text."""
    return [
        (
            getattr(data, split),
            2 * place + rejected,
            pair,
            BETWEEN_MESSAGES.join(m.content for m in pair.chat_with(reply)),
        )
        for split in SPLITS
        for place, pair in enumerate(getattr(load_splits(config.data), split))
        for rejected, reply in enumerate((pair.chosen, pair.rejected))
    ]


def units_of(split: EncodedSplit, row: int) -> np.ndarray:
    return np.asarray(split.values[split.unit_index[split.unit_starts[row] : split.unit_starts[row + 1]]])


def on_tokens(split: EncodedSplit, row: int) -> np.ndarray:
    """Return the sum over the tokens of a conversation of the measures that stand on them, [5]."""
    at = slice(split.token_starts[row], split.token_starts[row + 1])
    owned = np.flatnonzero(split.token_unit[at] >= 0)
    shares = split.token_share[at][owned, None]
    return (units_of(split, row)[split.token_unit[at][owned]] * shares).sum(axis=0, dtype=np.float64)


def test_a_passage_is_its_message_within_the_text() -> None:
    contents = ["one two", "", " three\n", "four"]
    found = find_passages(contents, "chat")
    assert {each.text for each in found} == {"one two\n\n\n\n three\n\n\nfour"}
    assert [each.text[each.start : each.end] for each in found] == contents
    assert [(each.text, each.start) for each in find_passages(contents, "message")] == [(each, 0) for each in contents]


def test_units_belong_to_the_message_they_lie_in_and_white_space_before_them_to_none() -> None:
    first, second = find_passages(["ab cd", "ef"], "chat")
    # White space before or behind a word belongs to the units of some tokenizers; here that between the messages too.
    spans = np.array([[0, 2], [2, 7], [6, 9]], dtype=np.int32)
    inside, own = first.select_units(spans)
    assert (inside, own.tolist()) == (slice(0, 2), [[0, 2], [2, 5]])
    inside, own = second.select_units(spans)
    assert (inside, own.tolist()) == (slice(2, 3), [[0, 2]])


def test_a_chat_has_the_measures_of_its_one_text(source: Path, root: Path) -> None:
    config = config_of(source)
    for split, row, _, text in sequences(config, prepare_data(config, root)):
        np.testing.assert_array_equal(units_of(split, row), planted_measures(text, config.data.seed))


def test_the_units_stand_on_the_tokens_they_have_message_by_message(source: Path, root: Path) -> None:
    chats, messages = (prepare_data(config_of(source, context=context), root) for context in ("chat", "message"))
    for split in SPLITS:
        for name in ("ids", "token_unit", "token_share", "token_starts", "unit_starts"):
            one, other = (getattr(getattr(data, split), name) for data in (chats, messages))
            np.testing.assert_array_equal(one, other, err_msg=name)
    assert (chats.train.values[:50] != messages.train.values[:50]).any()


def test_gaze_on_a_prompt_depends_on_the_reply_with_chat_and_not_with_message(source: Path, root: Path) -> None:
    for context in ("chat", "message"):
        config = config_of(source, context=context)
        data = prepare_data(config, root)
        for split, row, pair, _ in sequences(config, data)[::2]:
            words = sum(len(message.content.split()) for message in pair.prompt)
            chosen, rejected = units_of(split, row)[:words], units_of(split, row + 1)[:words]
            assert (context == "message") == np.array_equal(chosen, rejected)


@pytest.mark.parametrize("align", ["spread", "first"])
@pytest.mark.parametrize("predictor", ["planted", "bilstm"])
def test_alignment_conserves_the_measures_of_the_whole_chat(
    predictor: str, align: str, source: Path, root: Path, bilstm_folder: Path
) -> None:
    gaze = {"predictor": predictor, "align": align}
    if predictor == "bilstm":
        gaze |= {"path": str(bilstm_folder), "features": ["TRT"]}
    config = config_of(source, **gaze)
    all_sequences = sequences(config, prepare_data(config, root))
    known = create_predictor(config).predict([text for *_, text in all_sequences])
    for (split, row, _, _), gaze_on_text in zip(all_sequences, known, strict=True):
        expected = gaze_on_text.values.sum(axis=0, dtype=np.float64)
        np.testing.assert_allclose(units_of(split, row).sum(axis=0), expected, rtol=1e-5)
        np.testing.assert_allclose(on_tokens(split, row), expected, rtol=1e-5)


def test_tokens_of_the_predictor_are_divided_over_messages_without_loss(
    source: Path, root: Path, bilstm_folder: Path
) -> None:
    config = config_of(source, "concat", predictor="bilstm", path=str(bilstm_folder), features=["TRT"])
    everything = sequences(config, prepare_data(config, root))
    for (split, row, _, _), gaze in zip(
        everything, create_predictor(config).predict([text for *_, text in everything]), strict=True
    ):
        np.testing.assert_array_equal(units_of(split, row), gaze.values)


def test_response_scope_takes_the_reply_of_a_chat_that_was_read_whole(source: Path, root: Path) -> None:
    config = config_of(source, scope="response")
    for split, row, pair, text in sequences(config, prepare_data(config, root)):
        words = len((pair.rejected if row % 2 else pair.chosen).split())
        np.testing.assert_array_equal(units_of(split, row), planted_measures(text, config.data.seed)[-words:])


def test_moved_trt_stays_within_its_chat(source: Path, root: Path) -> None:
    config = config_of(source, sigma=[1.0, 2.0])
    trt = MEASURES.index("TRT")
    for split, row, _, text in sequences(config, prepare_data(config, root)):
        moved, before = units_of(split, row), planted_measures(text, config.data.seed)
        assert moved[:, trt].sum() == pytest.approx(before[:, trt].sum(), rel=1e-5)
        assert not np.allclose(moved[:, trt], before[:, trt])


def test_prompts_are_shared_only_where_gaze_is_not_seen(source: Path, root: Path) -> None:
    chats, messages = (prepare_data(config_of(source, context=context), root).train for context in ("chat", "message"))
    sees, blind = BatchLayout("shared"), BatchLayout("shared", sees_gaze=False)
    assert chats.shared_fraction(blind, 20) == messages.shared_fraction(blind, 20) > 0.2
    # Of the template's tokens before the first word too few are the same.
    assert chats.shared_fraction(sees, 20) == 0 < messages.shared_fraction(sees, 20)


def test_the_context_has_a_folder_of_its_own_and_normalisation_has_none(source: Path) -> None:
    keys = {preparation_key(config_of(source, context=context)) for context in ("chat", "message")}
    assert len(keys) == 2
    assert preparation_key(config_of(source, normalise=False)) in keys


def test_chats_can_be_stored_ahead(source: Path, tmp_path: Path) -> None:
    config = config_of(source, scope="response")
    assert len(store_pair_gaze(config, tmp_path)) == 80
    seen: list[tuple[int, int]] = []
    prepare_data(config, tmp_path, lambda stage, done, total: seen.append((done, total)) if stage == "gaze" else None)
    assert seen == [(80, 80)]


def _cut_to_equal(encoder: GazeChatEncoder, pair: PreferencePair) -> bool:
    both = (encoder.encode_chats([pair.chat_with(reply)]).ids.tolist() for reply in (pair.chosen, pair.rejected))
    return len(set(map(tuple, both))) == 1


@pytest.mark.parametrize("max_tokens", [None, 40])
def test_a_saved_model_reads_chats_as_it_did_in_training(max_tokens: int | None, source: Path, root: Path) -> None:
    config = config_of(source, max_tokens=max_tokens)
    data = prepare_data(config, root)
    encoder = GazeChatEncoder(config, data.load_tokenizer(), create_predictor(config))
    # Pairs that are cut to equal tokens are not prepared.
    pairs = [pair for pair in load_splits(config.data).validation if not _cut_to_equal(encoder, pair)]
    read = encoder.encode_chats([pair.chat_with(reply) for pair in pairs for reply in (pair.chosen, pair.rejected)])
    for name in ("ids", "token_unit", "token_share", "token_starts", "unit_starts"):
        np.testing.assert_array_equal(getattr(read, name), getattr(data.validation, name))
    for row in range(2 * len(pairs)):
        np.testing.assert_array_equal(units_of(read, row), units_of(data.validation, row))


@pytest.mark.parametrize("context", ["message", "chat"])
def test_a_conversation_ends_after_its_most_tokens_and_its_gaze_with_it(context: str, source: Path, root: Path) -> None:
    whole = prepare_data(config_of(source, context=context), root).train
    longest = int(np.diff(whole.token_starts).max())
    limit = longest - 12  # the end of some replies
    cut = prepare_data(config_of(source, max_tokens=limit, context=context), root).train
    assert int(np.diff(cut.token_starts).max()) == limit
    shortened = 0
    for row in range(2 * len(whole)):
        ids, tokens = (each[cut.token_starts[row] : cut.token_starts[row + 1]] for each in (cut.ids, cut.token_unit))
        first = whole.token_starts[row]
        np.testing.assert_array_equal(ids, whole.ids[first : whole.token_starts[row + 1]][:limit])
        np.testing.assert_array_equal(tokens, whole.token_unit[first : first + len(tokens)])
        units = units_of(whole, row)
        shortened += len(units_of(cut, row)) < len(units)
        # What is left are the units of the tokens that are left, and no other.
        np.testing.assert_array_equal(units_of(cut, row), units[: tokens.max() + 1])
    assert shortened


def test_a_conversation_that_is_cut_fits_the_backbone(source: Path, root: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    rows = source.read_text().splitlines()
    path.write_text("\n".join([*rows, json.dumps({**json.loads(rows[0]), "chosen": "word " * 9000})]))
    config = config_of(path, max_tokens=500)
    config = config.model_copy(update={"data": config.data.model_copy(update={"max_chars": None})})
    assert prepare_data(config, root).facts.longest["tokens"] == 500


def test_recorded_measures_know_no_chats(source: Path) -> None:
    config = config_of(source, predictor="recorded", path="recorded.parquet")
    with pytest.raises(InputError, match=r"gaze.context: chat: .* 'recorded' knows single messages only; .* message"):
        check_predictor(config)
    check_predictor(config_of(source, predictor="recorded", path="recorded.parquet", context="message"))
