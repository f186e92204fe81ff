"""Kill a writing process again and again; run as a program by test_store_kill.

Each round forks a child that commits pairs of rows from eight tasks and reports each commit in a pipe.
The child is killed at a random moment, and the file is read as it was left.
"""

import json
import os
import random
import select
import signal
import sqlite3
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from callboard.store import Database, Migrations, OwnerLock

PAIRS = Migrations(
    kind="pairs",
    application_id=9,
    steps=("CREATE TABLE a (n INTEGER PRIMARY KEY) STRICT; CREATE TABLE b (n INTEGER PRIMARY KEY) STRICT;",),
)


def pair(n: int) -> Callable[[sqlite3.Connection], None]:
    def write(conn: sqlite3.Connection) -> None:
        conn.execute("INSERT INTO a VALUES (?)", (n,))
        conn.execute("INSERT INTO b VALUES (?)", (n,))

    return write


async def child(path: Path, first: int, report: int) -> None:
    async with (
        Database.open(path, migrations=PAIRS, lock=OwnerLock(path)) as db,
        anyio.create_task_group() as tasks,
    ):

        async def work(start: int) -> None:
            for n in range(start, start + 1_000_000):
                await db.write(pair(n))
                os.write(report, struct.pack("q", n))

        for task in range(8):
            tasks.start_soon(work, first + task * 1_000_000)


def killed(path: Path, first: int, delay: float) -> set[int]:
    """Run one child, kill it `delay` seconds after its first commit and return what it acknowledged."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        anyio.run(child, path, first, writer)
        os._exit(1)
    os.close(writer)
    select.select([reader], [], [], 20)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    data = b""
    while chunk := os.read(reader, 1 << 16):
        data += chunk
    os.close(reader)
    return {n for (n,) in struct.iter_unpack("q", data[: len(data) // 8 * 8])}


def found(path: Path) -> tuple[set[int], set[int], str]:
    conn = sqlite3.connect(path)
    a = {int(n) for (n,) in conn.execute("SELECT n FROM a")}
    b = {int(n) for (n,) in conn.execute("SELECT n FROM b")}
    check = str(conn.execute("PRAGMA integrity_check").fetchone()[0])
    conn.close()
    return a, b, check


def main(folder: str, seed: str, rounds: str) -> None:
    path, chance = Path(folder) / "pairs.db", random.Random(int(seed))  # noqa: S311 - a reproducible choice
    acked = set[int]()
    for turn in range(int(rounds)):
        new = killed(path, turn * 100_000_000, chance.uniform(0, 0.03))
        acked |= new
        a, b, check = found(path)
        result = {"new": len(new), "mixed": len(a ^ b), "lost": len(acked - a), "check": check}
        print(json.dumps(result), flush=True)  # noqa: T201 - the program's output


if __name__ == "__main__":
    main(*sys.argv[1:])
