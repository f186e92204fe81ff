"""What can go wrong between a text and its vector."""

from callboard.errors import CallerError, WorldError


class BadEmbedder(CallerError):
    """The settings of an embedder contradict each other, or something that they need is not installed."""


class EmbedderFailed(WorldError):
    """No vectors came: the model is away, its files are not what they should be, or it answered with nonsense."""
