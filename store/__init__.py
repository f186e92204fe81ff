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
from .backup import back_up, checked_backup
from .database import Database
from .dead_letters import DeadLetter, DeadLetters
from .episodes import (
    Embedder,
    Episode,
    Filter,
    Forgotten,
    Link,
    Outcome,
    Person,
    Recalled,
    Recollection,
    Retention,
    Stats,
    Touched,
    id_of,
    open_episodes,
)
from .episodes import checked as checked_episode
from .episodes import checked_outcome as checked_outcome
from .episodes.restoring import restore_episodes
from .epochs import Epochs
from .erasing import erase, left_in, would_erase
from .errors import (
    BackupDamaged,
    BackupExists,
    BadVector,
    DatabaseCorrupt,
    DatabaseLocked,
    DatabaseNewer,
    DatabaseReadOnly,
    DiskFull,
    EmbedderMismatch,
    Fenced,
    InvalidEpisode,
    InvalidLimit,
    InvalidMemoryKey,
    MemoryConflict,
    NoSuchEpisode,
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
from .mentions import mentions
from .migrations import ACTOR, DAEMON, EPISODES, Migrations
from .namespace import Namespace
from .opening import Synchronous
from .paths import path_of_actor, path_of_episodes
from .quarantine import Quarantine, Quarantined
from .restoring import restore_memory
from .stored_keys import split as split_key
from .task_log import Known, Outgoing, Step, TakenStep, TaskLog
from .working_memory import WorkingMemory

__all__ = [
    "ACTOR",
    "DAEMON",
    "EPISODES",
    "ActorFile",
    "BackupDamaged",
    "BackupExists",
    "BadVector",
    "Database",
    "DatabaseCorrupt",
    "DatabaseLocked",
    "DatabaseNewer",
    "DatabaseReadOnly",
    "DeadLetter",
    "DeadLetters",
    "DiskFull",
    "Embedder",
    "EmbedderMismatch",
    "Episode",
    "Epochs",
    "Event",
    "Events",
    "Fenced",
    "Filter",
    "Forgotten",
    "Holds",
    "InvalidEpisode",
    "InvalidLimit",
    "InvalidMemoryKey",
    "Known",
    "Link",
    "MemoryConflict",
    "MemoryLayer",
    "Migrations",
    "Namespace",
    "NoSuchEpisode",
    "NoSuchKey",
    "NotDurable",
    "Outcome",
    "Outgoing",
    "OwnerConflict",
    "OwnerLock",
    "Person",
    "Quarantine",
    "Quarantined",
    "Recalled",
    "Recollection",
    "Retention",
    "Stats",
    "Step",
    "StoreClosed",
    "StoreError",
    "StoreStuck",
    "Synchronous",
    "TakenStep",
    "TaskDone",
    "TaskLog",
    "Touched",
    "ValueTooLarge",
    "WorkingMemory",
    "WrongDatabase",
    "WrongValueType",
    "back_up",
    "checked_backup",
    "checked_episode",
    "checked_outcome",
    "erase",
    "id_of",
    "left_in",
    "mentions",
    "open_episodes",
    "path_of_actor",
    "path_of_episodes",
    "restore_episodes",
    "restore_memory",
    "set_aside",
    "split_key",
    "would_erase",
]
