"""What can go wrong with a model's files."""

from callboard.errors import CallerError, WorldError


class UnknownModel(CallerError):
    """No model of this name is in the catalogue."""


class ModelAbsent(WorldError):
    """The model's files are not on this machine, or not whole."""


class FetchFailed(WorldError):
    """The package could not be had, or its files not be placed."""


class ModelRefused(WorldError):
    """What came is not what the catalogue says: another hash, another size, or a file is missing."""


class ModelServerAbsent(WorldError):
    """The package that runs language models is not installed here, or another release of it."""


class ModelServerFailed(WorldError):
    """The server of a language model did not start, or did not answer in time."""
