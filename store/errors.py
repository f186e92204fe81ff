"""What can go wrong between Callboard and its files."""

from callboard.errors import CallerError, WorldError


class StoreError(WorldError):
    """The store could not do it; the text says which file and why. Base of the store's world errors."""


class DatabaseCorrupt(StoreError):
    """The file is damaged. It was left as it is: move it away with ``set_aside`` and restore a copy."""


class DatabaseNewer(StoreError):
    """The file was made by a newer version of Callboard."""


class WrongDatabase(StoreError):
    """The file is sound, but it is not the kind of file that was asked for."""


class DatabaseLocked(StoreError):
    """Another process held the file for longer than the busy timeout."""


class DiskFull(StoreError):
    """No room: nothing of the transaction was kept, and the same call works once there is room."""


class DatabaseReadOnly(StoreError):
    """The file, its folder or its file system may not be written, or a read tried to write."""


class OwnerConflict(StoreError):
    """A living process owns the file; ``detail`` has its ``path`` and, if known, its ``pid``."""


class StoreClosed(StoreError):
    """The database is closed or closing: the call was not run."""


class StoreStuck(StoreError):
    """The database's thread did not end in time; its owner lock is kept until the process exits."""


class Fenced(StoreError):
    """A later incarnation has owned this file: this one must not write."""


class TaskDone(StoreError):
    """A task is done already: what was done for it once more must not count."""


class MemoryConflict(StoreError):
    """What a task read of memory was changed by another before its commit: it is done again."""


class ValueTooLarge(CallerError):
    """A value is larger than its limit in bytes."""


class WrongValueType(CallerError):
    """A value cannot be stored, or what is stored is not of the type asked for."""


class InvalidMemoryKey(CallerError):
    """A key is not text of 1 to 128 bytes in UTF-8."""


class InvalidLimit(CallerError):
    """A number given to the store is out of its range."""


class NoSuchKey(CallerError):
    """No living value under the key; ``detail["reason"]`` is ``absent`` or ``expired``."""


class NotDurable(CallerError):
    """The database does not sync each commit, and what was to be kept there needs that."""


class InvalidEpisode(CallerError):
    """An episode, a query or a filter is not legal; the text says what is."""


class NoSuchEpisode(CallerError):
    """There is no episode of that id in this memory."""


class EmbedderMismatch(StoreError):
    """The vectors that are stored are of another embedder than the one at hand."""


class BackupDamaged(StoreError):
    """A file that was to be restored is no sound backup of this kind; nothing was changed."""


class BackupExists(StoreError):
    """Something is at the path that was given for a backup; it was left as it is."""


class BadVector(StoreError):
    """An embedder gave a vector that cannot be compared: wrong width, not finite, or not of unit length."""
