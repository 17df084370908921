"""Chat templates: those of a config, those for base models that come without one, and the date in a template.

Mistral-7B-v0.3 and Meta-Llama-3-8B have the special tokens of their instruct siblings' formats in their vocabulary but
no template. Formats as published by Meta (Llama 3 model card) and Mistral AI (instruct model cards).
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from jinja2 import TemplateSyntaxError
from transformers import PreTrainedTokenizerFast

from gazetune.errors import InputError

LLAMA_3 = (
    "{{ bos_token }}{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %}"
    " {{ message['content'] }}{{ eos_token }}{% else %}[INST] {{ message['content'] }} [/INST]{% endif %}{% endfor %}"
)
PLAIN = (
    "{{ bos_token or cls_token or '' }}{% for message in messages %}"
    "{{ message['role'] | capitalize }}: {{ message['content'] }}"
    "{% if sep_token %}{{ sep_token }}{% elif loop.last %}{{ eos_token or '' }}{% else %}{{ '\\n\\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""`data.chat_template: plain`: the tokenizer's own begin, separator and end around messages with their roles."""

ACCEPTED = "data.chat_template accepts a file with a Jinja template, or plain"
_BY_TOKEN = {"<|start_header_id|>": LLAMA_3, "[INST]": MISTRAL}
_QUESTION, _REPLY = "xquestionx", "xreplyx"
_DIRECTIVES = [*"aAbBcCdDeFgGhHIjklmMnprRsStTuUVwWxXyYzZ", "-d", "-m", "-H", "-I", "-M", "-S", "-j", "-y"]
_END_OF_DATES = "{# end of the frozen dates #}\n"


def sibling_template(tokenizer: PreTrainedTokenizerFast) -> str | None:
    """Return the template whose special tokens the tokenizer knows, or None."""
    vocabulary = tokenizer.get_vocab()
    return next((template for token, template in _BY_TOKEN.items() if token in vocabulary), None)


def read_chat_template(value: str) -> str:
    """Return the Jinja template that `data.chat_template` names.

    Raises
    ------
    InputError
        When there is no such file, or it holds no text.
    """
    if value == "plain":
        return PLAIN
    path = Path(value).expanduser()
    try:
        template = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no UTF-8 text"
        raise InputError(f"data.chat_template: '{value}' cannot be read: {reason}; {ACCEPTED}") from None
    if not template.strip():
        raise InputError(f"data.chat_template: '{value}' is empty; {ACCEPTED}")
    return template


def check_chat_template(tokenizer: PreTrainedTokenizerFast, origin: str) -> None:
    """Refuse a chat template that cannot be read, and one that writes no reply; `origin` says whose it is.

    A template that refuses this conversation of two messages may accept those of the pairs, and passes.

    Raises
    ------
    InputError
        With the line of a mistake in the template, or when all replies would read the same.
    """
    question, reply = {"role": "user", "content": _QUESTION}, {"role": "assistant", "content": _REPLY}
    try:
        tokenizer.get_chat_template()
    except ValueError:
        names = ", ".join(sorted(tokenizer.chat_template))
        raise InputError(f"{origin} has several forms ({names}) and no default; {ACCEPTED}") from None
    try:
        text = str(tokenizer.apply_chat_template([question, reply], tokenize=False))
    except TemplateSyntaxError as error:
        raise InputError(f"{origin} is no Jinja template (line {error.lineno}: {error.message}); {ACCEPTED}") from None
    except Exception:  # a template can raise anything; what the pairs give counts
        return
    if _REPLY not in text.lower():
        raise InputError(f"{origin} writes no assistant message, so all replies would read the same; {ACCEPTED}")


def uses_date(tokenizer: PreTrainedTokenizerFast) -> bool:
    """Tell whether the tokenizer's chat template writes the date of the day, which is not frozen yet."""
    template = tokenizer.get_chat_template()
    return "strftime_now" in template and _END_OF_DATES not in template


def freeze_date(tokenizer: PreTrainedTokenizerFast, now: datetime) -> None:
    """Let the tokenizer's chat template take `now` for the present, wherever and whenever it is used from now on.

    The template gets a macro of the name `strftime_now` in front, which goes before the function of that name.
    """
    known = {directive: now.strftime(f"%{directive}") for directive in _DIRECTIVES}
    macro = (
        "{%- macro strftime_now(format) -%}{%- set known = " + json.dumps(known) + " -%}"
        "{%- for part in format.split('%') -%}"
        "{%- if loop.first -%}{{ part }}"
        "{%- elif part[:2] in known -%}{{ known[part[:2]] ~ part[2:] }}"
        "{%- elif part[:1] in known -%}{{ known[part[:1]] ~ part[1:] }}"
        "{%- else -%}{{ '%' ~ part }}{%- endif -%}"
        "{%- endfor -%}{%- endmacro -%}"
    )
    tokenizer.chat_template = macro + _END_OF_DATES + tokenizer.get_chat_template()


def without_frozen_date(template: str) -> str:
    """Return a template as it was before its date was frozen."""
    return template.rpartition(_END_OF_DATES)[2]
