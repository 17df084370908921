"""Small tokenizers of the kinds that published models have, trained on a few lines."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

MADE_UP = [
    "the reader looks at the words and the words look back user assistant eot_id INST pad end",
    "naïve café, Zürich! 日本語の文 🙂🙂 tabs\tand  spaces don't matter (much) 25 °C — or \u2013 so",
    "def f(x):\n    return x ** 2  # unfamiliar vocabularies take longer 1, 22, 333",
]


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(MADE_UP * 5, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet))
    return tokenizer


def llama_2() -> Tokenizer:
    """SentencePiece BPE as Llama 2 and Mistral have it: a space before the text, bytes for unknown characters."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    # As SentencePiece trains: no token has parts of two words. One that has leaves a word without a token of its own.
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[▁\s]*[^▁\s]+|[▁\s]+"), "isolated")
    tokenizer.decoder = decoders.ByteFallback()
    fallback = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=["<unk>", *fallback], limit_alphabet=40)
    tokenizer.train_from_iterator(MADE_UP * 5, trainer)
    return tokenizer


def t5() -> Tokenizer:
    """SentencePiece Unigram as T5 has it: NFKC, every kind of white space as a space, no bytes."""
    tokenizer = Tokenizer(models.Unigram())
    spaces = normalizers.Replace(Regex(r"[\s\u200b\ufeff]+"), " ")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), spaces])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=200, unk_token="<unk>", special_tokens=["<unk>"])
    tokenizer.train_from_iterator(MADE_UP * 5, trainer)
    return tokenizer


def unigram_of_characters(texts: Sequence[str], special: Sequence[str]) -> models.Unigram:
    """Return a model of the characters and beginnings of words in `texts`, the same at each call.

    `UnigramTrainer` numbers its pieces differently from run to run, so weights of a fixed seed would not be the
    weights of the same pieces.
    """
    words = sorted({word for text in texts for word in unicodedata.normalize("NFKC", text).split()})
    beginnings = sorted({f"▁{word[:3]}" for word in words if len(word) > 3})
    characters = ["▁", *sorted(set("".join(words)))]
    scores = [(piece, 0.0) for piece in special]
    scores += [(piece, -2.0) for piece in beginnings] + [(piece, -3.0) for piece in characters]
    return models.Unigram(scores, unk_id=list(special).index("<unk>"))


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=250, special_tokens=["[UNK]", "[CLS]", "[SEP]"])
    tokenizer.train_from_iterator(MADE_UP * 5, trainer)
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "byte-level BPE": byte_level,
    "SentencePiece BPE": llama_2,
    "SentencePiece Unigram": t5,
    "WordPiece": word_piece,
}
