"""Database URLs, and their passwords, which nobody else is to see."""

from __future__ import annotations

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from pytams.sqldb.errors import LedgerError

_HIDDEN = "***"
_SECRETS = {"password", "passwd", "pwd", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
"""What a driver may be given in a URL's query that is as good as a password."""
_IN_QUERY = re.compile(rf"([?&](?:{'|'.join(sorted(_SECRETS))})=)[^&]*", re.IGNORECASE)
_IN_FRONT = re.compile(r"(?<=://)([^:@/?]*):(?:.*@|[^/?]*)")
"""What may be a password where nobody knows where it ends."""


def is_url(text: str) -> bool:
    """Whether it is a URL: the rest are paths."""
    return re.match(r"[A-Za-z][\w+]*://", text) is not None


def parsed(url: str) -> URL:
    """Take a URL apart.

    Raises
    ------
    LedgerError
        If it cannot be; the message shows no password.
    """
    found = _parsed(url)
    if found is None:
        raise LedgerError(
            f"{shown(url)} is no URL of a database: write dialect://user:password@host:port/database, and special "
            "characters in the password as %40 for @, %2F for / and so on"
        )
    return found


def shown(url: str) -> str:
    """Give a URL, or a path, as it may be shown: with ``***`` for the password, also for one in the query."""
    if not is_url(url):
        return url
    found = _parsed(url)
    if found is None:
        return _IN_FRONT.sub(_hide_in_front, _IN_QUERY.sub(rf"\1{_HIDDEN}", url))
    hidden = found.update_query_dict(dict.fromkeys(secrets(found), _HIDDEN))
    return hidden.render_as_string(hide_password=True).replace("%2A%2A%2A", _HIDDEN)


def without_password(url: str) -> str:
    """Take the password out of a URL, also one in the query; a path stays as it is.

    Raises
    ------
    LedgerError
        If it cannot be taken apart.
    """
    return without_secrets(parsed(url)).render_as_string(hide_password=False) if is_url(url) else url


def without_secrets(url: URL) -> URL:
    """Leave the passwords out."""
    return url.difference_update_query(secrets(url))._replace(password=None)  # set() would leave it


def secrets(url: URL) -> dict[str, str | tuple[str, ...]]:
    """Passwords in the query of a URL."""
    return {key: value for key, value in url.query.items() if key.lower() in _SECRETS}


def _parsed(url: str) -> URL | None:
    """Take it apart; None if it cannot be, or if it has an @ too many."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):  # which may have a part of the password in them
        return None
    return None if "@" in (found.host or "") else found


def _hide_in_front(found: re.Match[str]) -> str:
    return f"{found[1]}:{_HIDDEN}{'@' if found[0].endswith('@') else ''}"
