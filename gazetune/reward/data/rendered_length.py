"""Pairs whose length is that of the chats as the backbone's chat template writes them (`data.max_chars_of`)."""

from __future__ import annotations

from gazetune.config import Config
from gazetune.preferences.pair import PreferencePair
from gazetune.preferences.splits import Splits, load_splits
from gazetune.preferences.take_pairs import CountCharacters
from gazetune.reward.data.chat_rendering import describe_refusal
from gazetune.reward.model.backbone import load_tokenizer


def load_pair_splits(config: Config) -> Splits:
    """Read and divide the pairs of a config; the backbone's tokenizer is read where the rendered chats count.

    Raises
    ------
    InputError
        As `load_splits` and `load_tokenizer`, and when the template refuses a conversation and
        bad rows are not dropped.
    """
    if config.data.max_chars_of == "contents" or config.data.max_chars is None:
        return load_splits(config.data)
    return load_splits(config.data, create_counter(config))


def create_counter(config: Config) -> CountCharacters:
    """Return a function that counts the characters of both chats of a pair as the template writes them.

    The function raises a `RowError` for a conversation that the template refuses.
    """
    # The template of the tiny tokenizer does not depend on the words that it was trained on.
    tokenizer = load_tokenizer(config.backbone, ["words"], config.data.tokens, config.data.chat_template)

    def count_rendered(pair: PreferencePair) -> int:
        total = 0
        for reply in (pair.chosen, pair.rejected):
            messages = [{"role": each.role, "content": each.content} for each in pair.chat_with(reply)]
            try:
                total += len(str(tokenizer.apply_chat_template(messages, tokenize=False)))
            except Exception as error:  # a template can raise anything
                raise describe_refusal(messages, pair.origin, error) from error
        return total

    return count_rendered
