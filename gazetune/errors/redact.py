"""What must not be shown of addresses and environment: passwords, tokens and keys, taken out of texts.

Errors, log lines and tracebacks pass through `hide_secrets` before anybody sees them. It knows the forms in which an
address holds a secret, the environment variables that do, and what `remember_secret` was told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import unquote

HIDDEN = "***"

SECRET_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MYSQL_PWD",
    "PGPASSWORD",
    "RAY_AUTH_TOKEN",
)
"""Environment variables whose values are never shown."""

_SECRET_KEY = (
    r"[\w.-]*(?:passw|passphrase|pwd|secret|token|credential|(?:access|api|account|private)[_-]?key|signature"
    r"|odbc_connect)[\w.-]*|auth|sig"
)
_SECRET_KEY_NAME = re.compile(_SECRET_KEY, re.IGNORECASE)
_PARAMETER = re.compile(rf"(?P<key>[?&;](?:{_SECRET_KEY})=)[^&\s'\"]+", re.IGNORECASE)
# The password ends at the last @ of the word: one that was not percent-encoded may hold anything else.
_USER_AND_PASSWORD = re.compile(r"(?P<user>[A-Za-z][\w+.-]*://[^\s:/@'\"]*):[^\s]*@")
# An address whose @HOST was forgotten: what stands for the port is no number, nor the word of a help text.
_NO_HOST = re.compile(r"(?P<user>[A-Za-z][\w+.-]*://[^\s:/@'\"]+):(?!(?:\d+|PORT)(?:[/?#\s'\"),.;]|$))[^\s/@'\"]+")
# Tokens of the Hugging Face hub, AWS and GitHub are known by how they begin.
_TOKEN = re.compile(r"\b(?:hf_[A-Za-z0-9]{16,}|AKIA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,})\b")
_SHORTEST = 4
"""Letters of the shortest secret that is looked for by itself; a shorter one would be found in any word."""

_remembered: set[str] = set()


def remember_secret(secret: str) -> None:
    """Let `hide_secrets` take this text out of all that is shown from now on, however it is percent-encoded."""
    _remembered.update(each for each in (secret, unquote(secret)) if len(each) >= _SHORTEST)


def is_secret_name(name: str) -> bool:
    """Tell whether a query parameter or a key of this name holds a secret.

    Examples
    --------
    >>> is_secret_name("password"), is_secret_name("api_key"), is_secret_name("timeout")
    (True, True, False)
    """
    return _SECRET_KEY_NAME.fullmatch(name) is not None


def find_secret_value(tree: object, prefix: str = "") -> str | None:
    """Return the dotted key of the first value in a tree of mappings and lists that is a secret; None without one.

    That is a value whose key says so, and a text in which `hide_secrets` finds one. A number of tokens is none.

    Examples
    --------
    >>> find_secret_value({"wandb": {"team": "us", "api_key": "abc"}}), find_secret_value({"max_out_tokens": 512})
    ('wandb.api_key', None)
    """
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    for name, value in items:
        key = f"{prefix}{name}"
        if isinstance(value, Mapping | list | tuple):
            found = find_secret_value(value, f"{key}.")
            if found is not None:
                return found
        elif _is_secret_value(str(name), value):
            return key
    return None


def _is_secret_value(name: str, value: object) -> bool:
    if isinstance(value, str):
        return bool(value) and (is_secret_name(name) or hide_secrets(value) != value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and is_secret_name(name) and "token" not in name.lower()


def hide_secret_values(value: object) -> object:
    """Return a value with `***` in the place of every secret in it, as `find_secret_value` finds them.

    Examples
    --------
    >>> hide_secret_values({"comet": {"enabled": True, "api_key": "abc"}})
    {'comet': {'enabled': True, 'api_key': '***'}}
    """
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if _is_secret_value(str(name), each) else hide_secret_values(each)
            for name, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [hide_secret_values(each) for each in value]
    return hide_password(value) if isinstance(value, str) else value


def hide_password(address: str) -> str:
    """Return an address with its password replaced by `***`, also one that is malformed.

    Examples
    --------
    >>> hide_password("postgresql://me:secret@host/runs"), hide_password("http://host?token=secret")
    ('postgresql://me:***@host/runs', 'http://host?token=***')
    """
    head, at, tail = address.rpartition("@")
    scheme, colon, user = head.partition("://")
    if at and ":" in user and not user.startswith("/"):  # a path may have both signs in it
        address = f"{scheme}{colon}{user.split(':')[0]}:{HIDDEN}@{tail}"
    return hide_secrets(address)


def hide_secrets(text: str) -> str:
    """Return a text with `***` in the place of every password, token and key in it.

    Examples
    --------
    >>> hide_secrets("connection to postgresql+psycopg2://me:secret@host/db failed")
    'connection to postgresql+psycopg2://me:***@host/db failed'
    """
    text = _USER_AND_PASSWORD.sub(rf"\g<user>:{HIDDEN}@", text)
    text = _NO_HOST.sub(rf"\g<user>:{HIDDEN}", text)
    text = _PARAMETER.sub(rf"\g<key>{HIDDEN}", text)
    text = _TOKEN.sub(HIDDEN, text)
    values = {os.environ.get(name, "") for name in SECRET_VARIABLES}
    for secret in sorted(_remembered | {value for value in values if len(value) >= _SHORTEST}, key=len, reverse=True):
        # Not inside of a word: a password may be `post`, and `postgresql` stays readable.
        text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", HIDDEN, text)
    return text
