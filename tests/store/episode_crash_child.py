"""Kill a process that remembers, again and again; run as a program by test_episodes_kill.

Each child remembers, forgets, supersedes, reindexes and takes snapshots all the time, and reports in a pipe what it
has been told is done. It is killed at a random moment. The parent then reads the file as it was left, and opens it:
what was reported is there, each episode is whole, the vectors are of one embedder, the snapshot's row names a whole
file or none, and the index finds what one built anew from the rows finds.
"""

import contextlib
import hashlib
import json
import os
import random
import select
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import numpy as np
from tests.store.embedders import Fake
from tests.store.remembered import opened, told, until

from callboard.store.episodes import Person, indexer, snapshot, vectors
from callboard.store.episodes.file import EpisodeFile
from callboard.store.episodes.index import VectorIndex

indexer.SAVE_FROM, indexer.SAVE_PART = 5, 1000  # type: ignore[misc]  # a snapshot at each few changes
indexer.EMBED = indexer.ADD = 8  # type: ignore[misc]  # and many steps
EMBEDDERS = ("fake-a", "fake-b")
ROUNDS = 20
Say = Callable[[str, str], None]


def stored_embedder(folder: Path) -> str:
    with contextlib.closing(sqlite3.connect(folder / "actors" / "a.episodes.db")) as conn:
        found = conn.execute("SELECT id FROM embedder").fetchone()
    return str(found[0]) or EMBEDDERS[0]


async def child(folder: Path, turn: int, report: int) -> None:
    def say(verb: str, name: str) -> None:
        os.write(report, f"{verb} {name}\n".encode())

    try:
        id = stored_embedder(folder)  # noqa: A001 - the embedder's own name
    except (sqlite3.Error, TypeError):
        id = EMBEDDERS[0]  # noqa: A001 - the same
    async with opened(folder, embedder=Fake(id=id)) as memory, anyio.create_task_group() as tasks:
        people = list[str]()
        tasks.start_soon(remember, memory, turn, people, say)
        tasks.start_soon(forget, memory, people, say)
        tasks.start_soon(reindex, memory)
        tasks.start_soon(save, memory)


async def remember(memory: EpisodeFile, turn: int, people: list[str], say: Say) -> None:
    last = ""
    for at in range(100_000):
        about = f"person{turn}x{at}y" if at % 5 == 0 else ""
        episode = told(f"turn {turn} saw thing {at} of sort {at % 11}", about=about, supersedes=(last,) if last else ())
        last = (await memory.remember(episode, message=f"m{turn}-{at}")).id
        say("kept", f"{last} {about}")
        people += [about] if about else []
        await memory.recall(f"thing {at}", message=f"m{turn}-{at}")


async def forget(memory: EpisodeFile, people: list[str], say: Say) -> None:
    while True:
        await until(lambda: bool(people))
        about = people.pop()
        say("forgetting", about)
        await memory.forget(Person(about=about))
        say("forgotten", about)


async def reindex(memory: EpisodeFile) -> None:
    while True:
        at = EMBEDDERS.index(memory.indexer.embedder.id)
        await memory.reindex(Fake(id=EMBEDDERS[1 - at]))
        await anyio.lowlevel.checkpoint()


async def save(memory: EpisodeFile) -> None:
    while True:
        await memory.indexer.keep_up()
        await anyio.sleep(0.005)  # or nothing else would have the lock


def killed(folder: Path, turn: int, delay: float) -> list[str]:
    """Run one child, kill it `delay` seconds after its first word, and return what it said."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        anyio.run(child, folder, turn, writer)
        os._exit(1)
    os.close(writer)
    select.select([reader], [], [], 20)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    data = b""
    while chunk := os.read(reader, 1 << 16):
        data += chunk
    os.close(reader)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"turn {turn}: the child ended by itself")
    return data.decode().splitlines()


class Known:
    """What the children were told is done."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        """Whom it is about, by id."""
        self.leaving: set[str] = set()
        self.gone: set[str] = set()

    def hear(self, lines: list[str]) -> None:
        for line in lines:
            verb, name, *more = line.split(" ")
            if verb == "kept":
                self.kept[name] = more[0]
            elif verb == "forgetting":
                self.leaving.add(name)
            else:
                self.gone.add(name)


def as_left(folder: Path, known: Known) -> list[str]:
    """Return what is wrong in the files as the process left them."""
    wrong = list[str]()
    path = folder / "actors" / "a.episodes.db"
    conn = sqlite3.connect(path)
    wrong += [str(row) for row in conn.execute("PRAGMA integrity_check") if row[0] != "ok"]
    conn.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
    conn.rollback()
    there = {str(name): str(about) for name, about in conn.execute("SELECT id, about FROM episodes")}
    lost = [name for name, about in known.kept.items() if name not in there and about not in known.leaving]
    wrong += [f"lost {name}" for name in lost]
    wrong += [f"came back: {about}" for about in there.values() if about in known.gone]
    wrong += [f"half: {row}" for row in conn.execute(HALF)]
    for table in ("labels", "made", "recalls", "vectors", "pending"):
        sql = f"SELECT count(*) FROM {table} WHERE episode NOT IN (SELECT number FROM episodes)"  # noqa: S608 - our names
        wrong += [f"{table} of nothing" for (count,) in conn.execute(sql) if count]
    row = snapshot.find(conn)
    if row is not None:
        data = snapshot.path_of(path, row.generation).read_bytes()
        if len(data) != row.bytes or hashlib.sha256(data).hexdigest() != row.sha256:
            wrong.append("the snapshot's row names another file")
        if row.embedder != vectors.embedder_of(conn):
            wrong.append("the snapshot is of another embedder")
        index = VectorIndex.load(snapshot.path_of(path, row.generation), 256, count=1)
        if index.numbers - {int(number) for (number,) in conn.execute("SELECT number FROM episodes")}:
            wrong.append("the snapshot holds what is forgotten")
    conn.close()
    for path in folder.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        wrong += [f"{about} is in {path.name}" for about in known.gone if about.encode() in data]
    return wrong


HALF = """
SELECT number FROM episodes, embedder WHERE
  (SELECT count(*) FROM vectors WHERE episode = number AND embedder = embedder.id)
  + (SELECT count(*) FROM pending WHERE episode = number) = 0
  OR NOT EXISTS (SELECT 1 FROM made WHERE episode = number)
"""


async def reopened(folder: Path, chance: random.Random) -> list[str]:
    """Return what is wrong with the memory when it is opened again."""
    wrong, said = list[str](), list[str]()
    async with opened(folder, embedder=Fake(id=stored_embedder(folder)), said=said) as memory:
        await memory.indexer.keep_up()
        index, id = memory.indexer.index, memory.indexer.embedder.id  # noqa: A001 - the field's own name
        stored = await memory.db.read(lambda conn: vectors.numbers(conn, id))
        rows = await memory.db.read(lambda conn: vectors.load(conn, id, sorted(stored)[:30_000]))
        new = VectorIndex(256)
        if rows:
            new.add([number for number, _ in rows], vectors.unpacked([data for _, data in rows]))
        waiting = await memory.db.read(vectors.pending_count)
        if index.numbers != new.numbers or waiting:
            wrong.append(f"the index has {len(index)} of {len(new)}")
        for number, data in chance.sample(rows, min(5, len(rows))):
            query = np.frombuffer(data, np.float32)
            mine, other = (sorted(each.search(query[None, :], 3)[0], key=_order) for each in (index, new))
            near = [[round(likeness, 4) for _, likeness in row] for row in (mine, other)]
            if near[0] != near[1] or number not in {each for each, _ in mine}:
                wrong.append(f"recall differs: {mine} {other}")
            text, old = await memory.db.read(lambda conn, n=number: _text(conn, n))  # type: ignore[misc]  # of this turn
            if old is None and text not in {each.episode.situation for each in (await memory.recall(text, 5)).episodes}:
                wrong.append(f"recall misses {text}")
    return wrong + [each for each in said if each != "memory-embedder-changed"]


def _order(found: tuple[int, float]) -> tuple[float, int]:
    return -round(found[1], 4), found[0]


def _text(conn: sqlite3.Connection, number: int) -> tuple[str, float | None]:
    text, until_when = conn.execute(
        "SELECT situation, valid_until FROM episodes WHERE number = ?", (number,)
    ).fetchone()
    return str(text), until_when


def seen(folder: Path) -> dict[str, str | bool]:
    """Return in what state the process was killed."""
    with contextlib.closing(sqlite3.connect(folder / "actors" / "a.episodes.db")) as conn:
        beside = conn.execute("SELECT 1 FROM vectors, embedder WHERE embedder != embedder.id LIMIT 1").fetchone()
        found = snapshot.find(conn)
    return {
        "embedder": stored_embedder(folder),
        "reindexing": beside is not None,
        "snapshot": found is not None,
        "draft": any(folder.rglob("*.part")),
    }


def main(folder: str, seed: str, rounds: str) -> None:
    chance, known, path = random.Random(int(seed)), Known(), Path(folder)  # noqa: S311 - a reproducible choice
    for turn in range(int(rounds)):
        if turn % ROUNDS == 0:  # a small memory, in which a step is short
            known, path = Known(), Path(folder) / str(turn)
        lines = killed(path, turn, chance.uniform(0, 0.25))
        known.hear(lines)
        state = seen(path)
        wrong = as_left(path, known) + anyio.run(reopened, path, chance)
        print(json.dumps({"said": len(lines), "wrong": wrong[:9], **state}), flush=True)  # noqa: T201 - the program's output


if __name__ == "__main__":
    main(*sys.argv[1:])
