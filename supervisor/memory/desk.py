"""What commands ask about memories, passed on by the daemon to the cells that own them, and gathered again."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import anyio.to_thread

from callboard.actors import ActorStopped, Message, Speaker
from callboard.bus import ActorDied, BusUnavailable, DeadlineExceeded, NoSuchActor, home_in
from callboard.errors import CallboardError
from callboard.store import InvalidEpisode, Outcome, Touched

from ..charge import Charge
from ..directory import Directory
from ..errors import NotUp
from ..records import Records
from ..reserved import is_reserved, keeper_of
from .messages import (
    ForgetMemory,
    Forgot,
    HearOutcome,
    MemoryCounts,
    MemoryFiles,
    Mentioned,
    OutcomeSaid,
    ReindexMemory,
    ShowStats,
    WouldForget,
)

LOOK_WITHIN: Final = 30.0
"""Seconds for a cell to look something up."""
WORK_WITHIN: Final = 600.0
"""Seconds for a cell to forget, copy or restore: it writes whole files."""
HEARD_WITHIN: Final = 8.0
"""Seconds in which a cell hears of an outcome, also one that is silent now and killed for that, or just starts."""
TRY_WITHIN: Final = 2.0
"""Seconds after which it is told again: what a process has not read when it is killed, nobody answers."""
AGAIN_AFTER: Final = 0.1
_PASSING: Final = (NotUp, DeadlineExceeded, ActorDied, ActorStopped, NoSuchActor, BusUnavailable)
"""What is said of a cell that is just starting, or dies just now: its next life hears it."""
R = TypeVar("R", bound=Message)


class MemoryDesk:
    """For one daemon. `voice` speaks for it; `folder` is that of its state."""

    def __init__(
        self, charges: Mapping[str, Charge], directory: Directory, *, voice: Speaker, records: Records, folder: Path
    ) -> None:
        self._charges, self._directory, self._voice = charges, directory, voice
        self._records, self._folder = records, folder

    async def pass_on(self, message: Any, reply: type[R], *, within: float = LOOK_WITHIN) -> R:
        """Ask the cell where the actor lives that `message` names; raises NoSuchActor, NotUp, and its own errors."""
        return await self._ask(self._charge_of(message.actor), message, reply, within=within)

    async def _ask(self, charge: Charge, message: Any, reply: type[R], *, within: float) -> R:
        if charge.state != "up":
            raise NotUp(f"cell {charge.name} is {charge.state}: memories are its own, and only it opens them")
        return await self._voice.ask(keeper_of(charge.name), message, timeout=within, reply=reply)

    def _charge_of(self, actor: str) -> Charge:
        cell = next((c.name for c in self._charges.values() if actor in c.understudies), None)
        cell = cell or home_in(self._directory.census.where(actor))
        if is_reserved(actor) or cell not in self._charges:
            names = ", ".join(sorted(name for charge in self._charges.values() for name in charge.understudies))
            raise NoSuchActor(f"no actor named {actor[:80]!r}: {names}", actor=actor[:80])
        return self._charges[cell]

    async def _ask_all(self, message: Message, reply: type[R], *, within: float) -> tuple[list[R], list[str]]:
        """Ask all cells at once; return what they answered, and of those that did not why."""
        answers: dict[str, R] = {}
        failed: dict[str, str] = {}

        async def ask(charge: Charge) -> None:
            try:
                answers[charge.name] = await self._ask(charge, message, reply, within=within)
            except CallboardError as error:
                failed[charge.name] = f"cell {charge.name}: {error.text}"

        async with anyio.create_task_group() as tasks:
            for charge in list(self._charges.values()):
                tasks.start_soon(ask, charge)
        return [answers[name] for name in self._charges if name in answers], list(failed.values())

    async def counts(self, wish: ShowStats) -> MemoryCounts:
        """Return how much one actor knows, or all."""
        if wish.actor:
            return await self.pass_on(wish, MemoryCounts)
        found, unheard = await self._ask_all(wish, MemoryCounts, within=LOOK_WITHIN)
        return MemoryCounts(rows=[row for each in found for row in each.rows], unheard=tuple(unheard))

    async def reindex(self, wish: ReindexMemory) -> MemoryFiles:
        """Have vectors made anew, of one actor or of all; return whose, and which cells did not answer."""
        if wish.actor:
            return await self.pass_on(wish, MemoryFiles)
        found, unheard = await self._ask_all(wish, MemoryFiles, within=LOOK_WITHIN)
        return MemoryFiles(lines=[line for each in found for line in each.lines], unheard=tuple(unheard))

    async def would_forget(self, wish: WouldForget) -> Mentioned:
        """Return who would forget how much. Raises InvalidEpisode."""
        if not wish.about.strip():
            raise InvalidEpisode("forgetting needs whom it is about")
        if wish.actor:
            return await self.pass_on(wish, Mentioned)
        found, unheard = await self._ask_all(wish, Mentioned, within=LOOK_WITHIN)
        return Mentioned(rows=[row for each in found for row in each.rows], unheard=tuple(unheard))

    async def forget(self, wish: ForgetMemory) -> Forgot:
        """Have one actor forget, or all, and say where something may be left. Raises InvalidEpisode."""
        if bool(wish.about.strip()) == bool(wish.id):
            raise InvalidEpisode("forgetting needs whom it is about, or the id of one episode")
        if wish.actor:
            found, unheard = [await self.pass_on(wish, Forgot, within=WORK_WITHIN)], list[str]()
        else:
            found, unheard = await self._ask_all(wish, Forgot, within=WORK_WITHIN)
        rows, left = [row for each in found for row in each.rows], [line for each in found for line in each.left]
        left += [f"not reached: {line}" for line in unheard]
        left += await self._left_of_fleet(wish.about, {row.actor for row in rows}) if wish.about else []
        return Forgot(rows=rows, left=tuple(left))

    async def _left_of_fleet(self, about: str, reached: set[str]) -> list[str]:
        """Return the places outside the actors' memories that mention somebody, or cannot be looked into."""
        tables = await self._records.mentions(about)
        lines = [f"daemon.db: {count} rows of {name}" for name, count in tables.items()]
        for name in ("logs", "flight"):
            lines += await anyio.to_thread.run_sync(_files_with, self._folder / name, about.encode())
        lines += [f"actors/{name}: set aside, or not of those asked" for name in self._strange(reached)]
        return [*lines, "not looked into: messages and tasks on their way, and copies made by 'memory backup'"]

    def _strange(self, reached: set[str]) -> list[str]:
        ours = {f"{actor}{end}" for actor in reached for end in (".db", ".episodes.db")}
        files = sorted((self._folder / "actors").glob("*.db*"))
        return [file.name for file in files if _is_database(file) and file.name not in ours]

    async def spread(self, outcome: Outcome, *, but: str = "") -> OutcomeSaid:
        """Tell all cells except `but` how a message turned out; those that are held remember nothing meanwhile."""
        heard, unheard = list[Touched](), dict[str, str]()

        async def tell(charge: Charge) -> None:
            with anyio.move_on_after(HEARD_WITHIN):
                while charge.state not in ("held", "ended"):
                    try:
                        said = await self._ask(charge, HearOutcome(outcome=outcome), OutcomeSaid, within=TRY_WITHIN)
                    except CallboardError as error:
                        unheard[charge.name] = f"cell {charge.name}: {error.text}"
                        if not isinstance(error, _PASSING):
                            return
                        await anyio.sleep(AGAIN_AFTER)
                    else:
                        unheard.pop(charge.name, None)
                        heard.append(said.touched)
                        return
            unheard.setdefault(charge.name, f"cell {charge.name} did not answer")

        async with anyio.create_task_group() as tasks:
            for charge in list(self._charges.values()):
                if charge.name != but and charge.state not in ("held", "ended"):
                    tasks.start_soon(tell, charge)
        return OutcomeSaid(touched=sum(heard, Touched()), unheard=tuple(sorted(unheard.values())))


def _is_database(file: Path) -> bool:
    return not file.name.endswith((".lock", "-wal", "-shm"))


def _files_with(folder: Path, text: bytes) -> list[str]:
    return [
        f"{folder.name}/{file.name}"
        for file in sorted(folder.glob("*"))
        if file.is_file() and text in file.read_bytes()
    ]
