"""Whom an actor is to forget, and what it has forgotten."""

import msgspec


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom or what to forget: one of these."""

    about: str = ""
    """All that concerns them by the field `about`, or names them in a text, a label or the source, letter by letter."""
    id: str = ""
    """One episode."""


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """What has gone, and each place that was looked at."""

    episodes: list[str]
    """Ids."""
    places: list[str]
