"""Addresses that a config holds: of MLflow, of a study, of a gaze store. What is secret in one is never written."""

from __future__ import annotations

import re
from typing import Annotated, Self
from urllib.parse import unquote

from pydantic import ValidatorFunctionWrapHandler, WrapValidator

from gazetune.errors.redact import hide_secrets, is_secret_name, remember_secret

_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
_KEPT_USERS = ("postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle")
"""Kinds of databases. Elsewhere the name of a user is part of the secret: an access key, or a token by itself."""
# What RFC 3986 allows before the @, and letters of other alphabets.
_USERINFO = re.compile(r"(?:[\w.~!$&'()*+,;=:-]|%[0-9A-Fa-f]{2})*")

# A password where a port should be: the host was forgotten.
_NO_HOST = re.compile(r"[^\[\]:]*:(?=.*\D).*")


class Address(str):
    """A URL without what is secret in it. The URL as it was given is kept beside the text, in this process alone.

    All that is written, logged, sent to MLflow or to a worker is the text: a pickled address has lost its secret.
    An address that was read from a file of a run never had one, so the program that connects takes the password from
    the environment or a password file.

    Examples
    --------
    >>> address = Address("postgresql://me:secret@host/runs?connect_timeout=3")
    >>> address
    'postgresql://me@host/runs?connect_timeout=3'
    >>> address.with_secret
    'postgresql://me:secret@host/runs?connect_timeout=3'
    """

    with_secret: str
    """The URL as it was given."""

    def __new__(cls, given: str) -> Self:
        """Return the address of a URL; an address is returned as it is."""
        if isinstance(given, cls):
            return given
        shown, secrets = _split_secrets(given)
        for secret in secrets:
            remember_secret(secret)
        address = super().__new__(cls, shown)
        address.with_secret = str(given)
        return address

    @property
    def has_secret(self) -> bool:
        """Whether the text lacks something of the URL that was given."""
        return self.with_secret != str(self)

    def __reduce__(self) -> tuple[type[Address], tuple[str]]:
        return Address, (str(self),)

    def __deepcopy__(self, memo: object) -> Address:
        return self


def has_unencoded_secret(given: str) -> bool:
    """Tell whether the user or password of a URL has characters that must be percent-encoded there.

    Examples
    --------
    >>> has_unencoded_secret("postgresql://me:a/b@host/db"), has_unencoded_secret("postgresql://me:a%2Fb@host/db")
    (True, False)
    """
    userinfo, _, _ = _split_userinfo(given)
    return _USERINFO.fullmatch(userinfo) is None


def with_secret(address: str) -> str:
    """Return the URL that an address was given as, with its password; any other text as it is."""
    return address.with_secret if isinstance(address, Address) else address


def _hide_in_config(value: object, validate: ValidatorFunctionWrapHandler) -> Address:
    return value if isinstance(value, Address) else Address(validate(value))


AddressText = Annotated[str, WrapValidator(_hide_in_config)]
"""The type of a config key that takes an address: its value is an `Address`."""


def _split_secrets(given: str) -> tuple[str, list[str]]:
    """Return a URL without its secrets, and these."""
    if _SCHEME.match(given) is None:
        return given, []
    userinfo, before, after = _split_userinfo(given)
    user, _, password = userinfo.partition(":")
    secrets = [password or user] if userinfo else []
    if userinfo and before.split("://")[0].split("+")[0].lower() in _KEPT_USERS:
        before += f"{user}@"
        secrets = [password] if password else []
    base, question, query = after.partition("?")
    kept = []
    for parameter in query.split("&") if question else []:
        name, _, value = parameter.partition("=")
        hidden = hide_secrets(unquote(value))  # a value may be an address itself, such as endpoint_override
        if is_secret_name(unquote(name)) or hidden != unquote(value):
            secrets.append(value)
        else:
            kept.append(parameter)
    return f"{before}{base}{'?' if kept or (question and not query) else ''}{'&'.join(kept)}", secrets


def _split_userinfo(given: str) -> tuple[str, str, str]:
    """Return what stands before the @ of a URL's host, what before that, and what after the @.

    A password that was not percent-encoded may hold a `/` or an @. So where a user is followed by a colon, the last @
    counts, wherever it stands. Where the host was forgotten, all is the user's.
    """
    found = _SCHEME.match(given)
    rest = given[found.end() :] if found else ""
    if found is None:
        return "", given, ""
    if rest.startswith("/"):  # a path
        return "", given[: found.end()], rest
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    place = rest.rfind("@") if ":" in authority.partition("@")[0] else authority.rfind("@")
    if place >= 0:
        return rest[:place], given[: found.end()], rest[place + 1 :]
    if _NO_HOST.fullmatch(authority):
        return authority, given[: found.end()], rest[len(authority) :]
    return "", given[: found.end()], rest
