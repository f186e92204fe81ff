"""Remember: SQLite files, each with one owner, one connection and one thread.

This room imports the floor and SQLite, and is the only one that imports ``sqlite3`` and ``aiosqlite``. It
knows nothing of the bus or of actors.

It promises: a function given to :meth:`Database.write` is one transaction, whatever is cancelled around it;
what it returned is in the file, with ``synchronous="FULL"`` also after a power cut; a process killed at any
moment leaves the state before or after a transaction; a damaged, foreign or newer file is refused and left as
it is; every error is a :class:`StoreError` or a :class:`~callboard.errors.CallerError`.
"""

from .actor_file import ActorFile
from .aside import set_aside
from .database import Database
from .dead_letters import DeadLetter, DeadLetters
from .epochs import Epochs
from .errors import (
    DatabaseCorrupt,
    DatabaseLocked,
    DatabaseNewer,
    DatabaseReadOnly,
    DiskFull,
    Fenced,
    InvalidLimit,
    InvalidMemoryKey,
    MemoryConflict,
    NoSuchKey,
    NotDurable,
    OwnerConflict,
    StoreClosed,
    StoreError,
    StoreStuck,
    TaskDone,
    ValueTooLarge,
    WrongDatabase,
    WrongValueType,
)
from .events import Event, Events
from .holds import Holds
from .lock import OwnerLock
from .memory_layer import MemoryLayer
from .migrations import ACTOR, DAEMON, Migrations
from .opening import Synchronous
from .quarantine import Quarantine, Quarantined
from .task_log import Known, Outgoing, Step, TakenStep, TaskLog
from .working_memory import WorkingMemory

__all__ = [
    "ACTOR",
    "DAEMON",
    "ActorFile",
    "Database",
    "DatabaseCorrupt",
    "DatabaseLocked",
    "DatabaseNewer",
    "DatabaseReadOnly",
    "DeadLetter",
    "DeadLetters",
    "DiskFull",
    "Epochs",
    "Event",
    "Events",
    "Fenced",
    "Holds",
    "InvalidLimit",
    "InvalidMemoryKey",
    "Known",
    "MemoryConflict",
    "MemoryLayer",
    "Migrations",
    "NoSuchKey",
    "NotDurable",
    "Outgoing",
    "OwnerConflict",
    "OwnerLock",
    "Quarantine",
    "Quarantined",
    "Step",
    "StoreClosed",
    "StoreError",
    "StoreStuck",
    "Synchronous",
    "TakenStep",
    "TaskDone",
    "TaskLog",
    "ValueTooLarge",
    "WorkingMemory",
    "WrongDatabase",
    "WrongValueType",
    "set_aside",
]
