"""Whether a backbone's tokenizer is its own: its files are there and agree, and the model knows its ids."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import tokenizers
from jinja2 import TemplateError
from tokenizers import Tokenizer
from transformers import PreTrainedConfig, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from gazetune.errors import InputError
from gazetune.reward.model.checks.checkpoint_files import find_small_file, read_small_json, refuse_damaged_json

_LOG = logging.getLogger(__name__)
_TOKENIZER = "tokenizer.json"
_SETTINGS = "tokenizer_config.json"
_OTHER_FILES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tokenizer.tiktoken", "tekken.json")
_FILES = (
    _TOKENIZER,
    _SETTINGS,
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_PROBES = ("Why is the sky blue?", " It's 3,000 km, naïve  reader!\n\nYes_no", "日本語 Straße 🙂")
_MESSAGES = (("system", "a"), ("user", "a"), ("assistant", "a"))


def refuse_damaged_tokenizer(backbone: str) -> None:
    """Raise `InputError` when a file of the tokenizer is a Git LFS pointer or no JSON."""
    for name in _FILES:
        refuse_damaged_json(backbone, name)
    if find_small_file(backbone, _TOKENIZER) is None:
        for name in _OTHER_FILES:
            refuse_damaged_json(backbone, name)


def describe_tokenizer_error(backbone: str, error: Exception) -> InputError | None:
    """Return what is wrong with the files of a tokenizer that transformers could not load; None where that is unknown.

    transformers tells of all ways to load one that it has tried, and the tokenizers library of its own types.
    """
    path = find_small_file(backbone, _TOKENIZER)
    if path is not None:
        try:
            Tokenizer.from_file(str(path))
        except Exception as reason:  # the library has no class of its own for a file that it cannot read
            return InputError(
                f"{path}: cannot be read ({_one_line(reason)}); accepted: a file of a version that tokenizers "
                f"{tokenizers.__version__} knows"
            )
        return None
    there = [name for name in (*_FILES, *_OTHER_FILES) if find_small_file(backbone, name) is not None]
    if not there:
        return InputError(f"backbone '{backbone}': there are no files of a tokenizer; accepted: {_TOKENIZER}")
    return InputError(
        f"backbone '{backbone}': its tokenizer has no {_TOKENIZER}, and transformers cannot make one of "
        f"{', '.join(there)} here ({_one_line(error)}); accepted: {_TOKENIZER}, as save_pretrained writes it"
    )


def check_tokenizer_files(backbone: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a tokenizer that was made without its vocabulary or reads no text, and files that give a token two ids.

    Raises
    ------
    InputError
        One line that names the file.
    """
    if find_small_file(backbone, _TOKENIZER) is None:
        needed = [name for role, name in tokenizer.vocab_files_names.items() if role != "tokenizer_file"]
        missing = [name for name in needed if find_small_file(backbone, name) is None]
        if missing:  # transformers would make a tokenizer of a few special tokens, without a word
            raise InputError(
                f"backbone '{backbone}': its tokenizer has neither {_TOKENIZER} nor {', '.join(missing)}; accepted: "
                f"{_TOKENIZER}"
            )
    try:
        tokenizer(list(_PROBES))
    except Exception as error:  # the library has no class of its own for it
        raise InputError(
            f"backbone '{backbone}': {type(tokenizer).__name__} cannot read text with the files of this tokenizer "
            f"({_one_line(error)}); accepted: files of one tokenizer, and its class in {_SETTINGS}"
        ) from error
    settings = read_small_json(backbone, _SETTINGS) or {}
    listed = settings.get("added_tokens_decoder")
    said = {each.get("content"): id for id, each in listed.items()} if isinstance(listed, dict) else {}
    for file, ids in ((_SETTINGS, said), ("added_tokens.json", read_small_json(backbone, "added_tokens.json") or {})):
        for token, id in ids.items():
            has = tokenizer.convert_tokens_to_ids(token)
            if str(has) != str(id):
                raise InputError(
                    f"backbone '{backbone}': {file} gives '{token}' the id {id}, and {_TOKENIZER} the id {has}; "
                    "accepted: files of one version of a tokenizer"
                )


def check_token_ids(backbone: str, tokenizer: PreTrainedTokenizerFast, rows: int) -> None:
    """Refuse a tokenizer with ids that the model's token embedding does not have.

    A special token that no template writes is no fault: Gemma 3 has one for pictures. Special tokens in the text of a
    message are read as text.

    Parameters
    ----------
    backbone : str
        As the error line names it.
    tokenizer : PreTrainedTokenizerFast
        With its chat template.
    rows : int
        Of the token embedding.

    Raises
    ------
    InputError
        One line with both sizes.
    """
    beyond = {token: id for token, id in tokenizer.get_vocab().items() if id >= rows}
    if not beyond:
        return
    added = tokenizer.added_tokens_decoder
    roles = {getattr(tokenizer, role, None) for role in _ROLES}
    template = tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else ""
    written = _template_ids(tokenizer)
    used = {
        token: id
        for token, id in beyond.items()
        if id not in added or not added[id].special or token in roles or token in template or id in written
    }
    if not used:
        return
    token, largest = max(used.items(), key=lambda item: item[1])
    raise InputError(
        f"backbone '{backbone}': its tokenizer has ids up to {largest} ('{token}'), and its model has {rows} token "
        f"embeddings (ids 0 to {rows - 1}); accepted: the tokenizer of this model, or a model saved after "
        f"resize_token_embeddings({largest + 1})"
    )


def warn_of_other_special_tokens(backbone: str, tokenizer: PreTrainedTokenizerFast, config: PreTrainedConfig) -> None:
    """Log where the model's config and the tokenizer disagree about a special token, and where class and file do."""
    text = config.get_text_config()
    differences = []
    for role in ("bos_token", "eos_token"):  # padding is masked, whatever its id
        known, has = getattr(text, f"{role}_id", None), getattr(tokenizer, f"{role}_id", None)
        ids = known if isinstance(known, list) else [known]
        if has is not None and known is not None and has not in ids:
            differences.append(f"{role} {known} and {has} ('{getattr(tokenizer, role)}')")
    if differences:
        _LOG.warning(
            "backbone '%s': config.json and the tokenizer disagree: %s; the tokenizer's ids are used",
            *(backbone, ", ".join(differences)),
        )
    path = find_small_file(backbone, _TOKENIZER)
    if path is None or type(tokenizer) is PreTrainedTokenizerFast:
        return  # the class that takes tokenizer.json as it is
    plain = Tokenizer.from_file(str(path))
    for probe in _PROBES:
        read = tokenizer.backend_tokenizer.encode(probe, add_special_tokens=False).ids
        written = plain.encode(probe, add_special_tokens=False).ids
        if read != written:
            _LOG.warning(
                "backbone '%s': %s reads %r as %s, and %s alone as %s; the former, which is transformers' reading, is "
                "used",
                *(backbone, type(tokenizer).__name__, probe, read, path.name, written),
            )
            return


def _template_ids(tokenizer: PreTrainedTokenizerFast) -> set[int]:
    """Return the ids that the chat template writes around messages; empty where it takes no such conversation."""
    ids: set[int] = set()
    for first in range(2):
        chat = [{"role": role, "content": content} for role, content in _MESSAGES[first:]]
        try:
            ids.update(_flatten(tokenizer.apply_chat_template(chat, return_dict=False)))
        except (TemplateError, ValueError, TypeError, KeyError):
            continue  # some templates take no system message
    return ids


def _flatten(ids: object) -> Iterable[int]:
    return ids if isinstance(ids, list) else []


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
