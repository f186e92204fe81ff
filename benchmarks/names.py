"""What the sides are called."""

from typing import Final

OURS: Final = "callboard"
NATS: Final = "nats-py"
JOINED: Final = "nats-py, 16 joined by hand"
FASTSTREAM: Final = "FastStream"
PYKKA: Final = "pykka"
THESPIAN: Final = "thespian"
XOSCAR: Final = "xoscar"
AUTOGEN: Final = "autogen"
TASKIQ: Final = "taskiq-nats"
ERLANG: Final = "Erlang"
SQLITE: Final = "sqlite3, 64 a commit"
AIOSQLITE: Final = "aiosqlite, one a commit"
AIOSQLITE_64: Final = "aiosqlite, 64 a commit"
DISKCACHE: Final = "diskcache"
LIMIT: Final = "the promised limit"
