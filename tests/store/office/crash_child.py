"""Kill a process that has the office, again and again; run as a program by test_office_kill.

Each child leases, calls, settles, gives back, keeps answers and sweeps in eight tasks, and reports in a pipe what it
is about to call and what it was told. It is killed at a random moment. The parent then reads the file as it was left:
what must be true at any moment is true, and what was told is there. Once the dead are buried, nothing is reserved,
and each budget knows of at least what was really spent.
"""

import contextlib
import json
import os
import random
import select
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anyio
from tests.manual_clock import ManualClock
from tests.store.office.purse import entry, opened, request, window, wrong

from callboard.store.office import Cached, Leased, OfficeFile

FLEET, TREE = 10**12, 2000
Say = Callable[..., None]


async def child(folder: Path, turn: int, report: int) -> None:
    def say(*words: str | int) -> None:
        os.write(report, f"{' '.join(map(str, words))}\n".encode())

    async with opened(folder, ManualClock(), epoch=turn, most_bytes=20_000) as office:
        await office.bury("c", turn)
        async with anyio.create_task_group() as tasks:
            for worker in range(8):
                tasks.start_soon(work, office, turn, worker, say)


async def work(office: OfficeFile, turn: int, worker: int, say: Say) -> None:
    chance = random.Random(turn * 8 + worker)  # noqa: S311 - a reproducible choice
    for at in range(100_000):
        tree = f"tree/{turn}x{worker // 4}x{at // 20}"  # four tasks share the last dollar of one
        windows = (window("fleet", FLEET, warn=1), window(tree, TREE, warn=TREE // 2))
        least = chance.randint(1, 300)
        money = await office.lease(request(*windows, least=least, want=chance.randint(1, 5000), epoch=turn))
        if isinstance(money, Leased):
            say("leased", money.id)
            await spend(office, money, tree, chance, say)
            if chance.random() < 0.7:
                await office.give_back("c", turn, [money.id])
        key = f"{turn}x{worker}x{at}".encode()
        await office.put_cached(Cached(key=key, actor="a", body=b"x" * 500, made=0.0, expires=1e12))
        if at % 50 == 49:
            await office.evict(f"m{turn}x{worker}")
            await office.sweep()


async def spend(office: OfficeFile, money: Leased, tree: str, chance: random.Random, say: Say) -> None:
    left = money.amount
    for _ in range(chance.randint(0, 3)):
        cost = chance.randint(0, left)
        left -= cost
        told = entry(money.id, cost, id=f"{money.id}x{left}x{chance.random()}", message=f"m{chance.randint(0, 99)}")
        say("calls", tree, cost)
        await office.settle("c", 10**6, [told, told])
        say("settled", told.id, cost)


def killed(folder: Path, turn: int, delay: float) -> list[str]:
    """Run one child, kill it `delay` seconds after its first word, and return what it said."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        with contextlib.suppress(BaseException):
            anyio.run(child, folder, turn, writer)
        os._exit(1)
    os.close(writer)
    select.select([reader], [], [], 20)
    data, end = b"", time.monotonic() + delay
    while (left := end - time.monotonic()) > 0:  # read on: a full pipe would hold it up
        if select.select([reader], [], [], left)[0]:
            data += os.read(reader, 1 << 16)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    while chunk := os.read(reader, 1 << 16):
        data += chunk
    os.close(reader)
    if not os.WIFSIGNALED(status):
        raise RuntimeError(f"turn {turn}: the child ended by itself")
    return data.decode().splitlines()


class Known:
    """What the children said."""

    def __init__(self) -> None:
        self.leased = set[int]()
        self.really = Counter[str]()
        self.settled = dict[str, int]()

    def hear(self, lines: list[str]) -> None:
        for verb, *words in (line.split(" ") for line in lines):
            if verb == "leased":
                self.leased.add(int(words[0]))
            elif verb == "settled":
                self.settled[words[0]] = int(words[1])
            else:
                for name in ("fleet", words[0]):
                    self.really[name] += int(words[1])


def as_left(folder: Path, known: Known) -> list[str]:
    """Return what is wrong in the file as the process left it."""
    with contextlib.closing(sqlite3.connect(folder / "office.db")) as conn:
        found = wrong(conn)
        leases = {number for (number,) in conn.execute("SELECT id FROM leases")}
        entries = dict[str, int](conn.execute("SELECT id, cost FROM ledger WHERE how != 'lost'").fetchall())
    found += [f"lost lease {number}" for number in known.leased - leases]
    found += [f"lost entry {name}" for name, cost in known.settled.items() if entries.get(name) != cost]
    return found


async def reopened(folder: Path, turn: int, known: Known) -> tuple[list[str], int]:
    """Return what is wrong once the dead are buried, and how many they were."""
    async with opened(folder, ManualClock(), epoch=turn) as office:
        dead = await office.bury("c", turn + 1)
        found = await office.db.read(wrong)
        sql = "SELECT name, spent, reserved, beyond, most FROM windows"
        rows = await office.db.read(lambda conn: conn.execute(sql).fetchall())
    for name, spent, *others, most in rows:
        if not known.really[name] <= spent <= most or others != [0, 0]:
            found.append(f"{name}: {known.really[name]} were really spent, the office has {spent}, {others} of {most}")
    return found, len(dead)


def main(folder: str, seed: str, rounds: str) -> None:
    chance, known = random.Random(int(seed)), Known()  # noqa: S311 - a reproducible choice
    for turn in range(1, int(rounds) + 1):
        lines = killed(Path(folder), turn, chance.uniform(0, 0.2))
        known.hear(lines)
        found = as_left(Path(folder), known)
        more, dead = anyio.run(reopened, Path(folder), turn, known)
        print(json.dumps({"said": len(lines), "dead": dead, "wrong": (found + more)[:9]}), flush=True)  # noqa: T201 - the program's output


if __name__ == "__main__":
    main(*sys.argv[1:])
