"""What can go wrong on the way to a model."""

from callboard.errors import CallerError


class BadModelKey(CallerError):
    """The key for a model's API is not where the settings say, or others can read it."""
