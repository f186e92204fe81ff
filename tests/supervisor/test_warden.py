"""Who lets cells in: a user for each life, also when many have come and gone, and nobody who was put out."""

from pathlib import Path

import anyio
import pytest

from callboard import Actor, Context, Message, receive
from callboard.actors import spec_of
from callboard.bus import NatsServer, connect, realm
from callboard.clock import SystemClock
from callboard.errors import Detail
from callboard.supervisor.access import Access
from callboard.supervisor.warden import Own, reach_of

from ..bus.by_hand import spoken

WITHIN = 5.0


class Note(Message):
    text: str


class Desk(Actor):
    @receive
    async def note(self, message: Note, ctx: Context) -> None: ...


def ignore(kind: str, subject: str, text: str, detail: Detail) -> None:
    """Record nothing."""


async def is_out(access: Access) -> None:
    """Wait until the server lets nobody in by this."""
    assert access.credentials is not None
    with anyio.fail_after(WITHIN):
        while True:
            try:
                async with spoken(access.url, access.credentials):
                    pass
            except (RuntimeError, anyio.EndOfStream, anyio.BrokenResourceError):
                return


async def test_each_life_comes_in_at_once_and_is_out_after_its_end_though_signing_keys_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realm, "REVOKED_MOST", 3)
    async with (
        NatsServer.open(tmp_path, fleet="shop") as server,
        connect(server.options(server.realm.warden)) as system,
        anyio.create_task_group() as tasks,
    ):
        warden = Own(server, system, fleet="shop", clock=SystemClock(), report=ignore)
        tasks.start_soon(warden.run)
        staying = warden.admit("clerk", 1, [spec_of(Desk, cell="clerk")])
        async with connect(staying.options()) as clerk:
            lives = []
            for epoch in range(1, 11):
                lives.append(access := warden.admit("desk", epoch, [spec_of(Desk, cell="desk")]))
                async with connect(access.options()) as bus:
                    await bus.flush()
                warden.revoke(access)
                await is_out(access)
            await clerk.flush()
            for access in lives:
                await is_out(access)
        signers = len(server.realm.accounts(storage=1, memory=1)[server.realm.fleet_account])
        assert signers < 3000, "what was signed by a key that nobody lives under is forgotten with it"
        tasks.cancel_scope.cancel()


def test_what_a_cell_needs_is_what_its_actors_need() -> None:
    reach = reach_of("desk", [spec_of(Desk, cell="desk")])
    assert reach.actors == ("desk", "cell-desk")
    assert reach.tell == ("supervisor",)
    assert (reach.open, reach.kept, reach.enqueue, reach.publish, reach.hear) == ((), (), (), (), ())
