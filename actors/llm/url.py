"""Addresses of models' APIs: which are on this machine, and which must not be used."""

from typing import Final
from urllib.parse import urlsplit

_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
LEGAL_URL: Final = "https://host/v1, or http:// for this machine or without a key; no login, no ?, no #"


def is_here(url: str) -> bool:
    """Return whether an API is on this machine."""
    try:
        return urlsplit(url).hostname in _HERE
    except ValueError:
        return False


def is_legal(url: str, *, keyed: bool) -> bool:
    """Return whether a URL may be used: no key crosses a network in plain text, and no secret is in what errors say."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    plain_key = keyed and parts.scheme == "http" and not is_here(url)
    secret = "@" in parts.netloc or bool(parts.query or parts.fragment)
    return parts.scheme in {"http", "https"} and bool(host) and not secret and not plain_key
