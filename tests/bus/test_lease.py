"""One holder of a name: by lease on a real server, and by asking where the server keeps none."""

import subprocess
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from callboard.bus import (
    BusUnavailable,
    Connection,
    ConnectOptions,
    Holder,
    Lease,
    LeaseHeld,
    NatsServer,
    NoLeases,
    RollCall,
    connect,
    find_binary,
)
from callboard.bus import lease as lease_module
from callboard.bus.roll_call import yields
from callboard.clock import SystemClock
from callboard.ids import new_id
from callboard.testing import ManualClock

from ..faults.proxy import TcpProxy

ONE = Holder(owner="a1", host="one.example", pid=11)
TWO = Holder(owner="b2", host="two.example", pid=22)
TTL = 1.0


@pytest.fixture(autouse=True)
def _own_bucket(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(lease_module, "BUCKET", f"leases-{new_id()}")
    monkeypatch.setattr(lease_module, "TTL", TTL)


def _options(server: NatsServer) -> ConnectOptions:
    return server.options()


@asynccontextmanager
async def _two(server: NatsServer) -> AsyncGenerator[tuple[Connection, Connection]]:
    async with connect(_options(server)) as one, connect(_options(server)) as two:
        yield one, two


async def _taken_within(bus: Connection, holder: Holder, seconds: float) -> Lease:
    with anyio.fail_after(seconds):
        while True:
            try:
                return await Lease.take(bus, "shop", holder, clock=SystemClock())
            except LeaseHeld:
                await anyio.sleep(0.02)


async def test_a_held_lease_is_refused_and_the_holder_named(nats_server: NatsServer) -> None:
    async with _two(nats_server) as (one, two):
        await Lease.take(one, "shop", ONE, clock=SystemClock())
        with pytest.raises(LeaseHeld, match=r"process 11 on one\.example") as refused:
            await Lease.take(two, "shop", TWO, clock=SystemClock())
        assert (refused.value.detail["host"], refused.value.detail["pid"]) == ("one.example", 11)
        await Lease.take(two, "another-shop", TWO, clock=SystemClock())


async def test_of_many_at_once_one_gets_it(nats_server: NatsServer) -> None:
    got, refused = list[int](), list[int]()

    async def want(number: int) -> None:
        async with connect(_options(nats_server)) as bus:
            try:
                await Lease.take(bus, "shop", Holder(owner=f"o{number}", host="h", pid=number), clock=SystemClock())
                got.append(number)
            except LeaseHeld:
                refused.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(want, number)
    assert (len(got), len(refused)) == (1, 7)


async def test_the_same_owner_takes_its_lease_over_at_once(nats_server: NatsServer) -> None:
    async with _two(nats_server) as (one, two):
        before = await Lease.take(one, "shop", ONE, clock=SystemClock())
        after = await Lease.take(two, "shop", msgspec.structs.replace(ONE, pid=12), clock=SystemClock())
        assert after.left > 0
        await before.renew()  # its revision is old, the entry still its owner's
        with pytest.raises(LeaseHeld, match="process 11"):
            await Lease.take(one, "shop", TWO, clock=SystemClock())


async def test_a_lease_that_is_not_renewed_is_anothers_after_its_time(nats_server: NatsServer) -> None:
    async with _two(nats_server) as (one, two):
        lost = await Lease.take(one, "shop", ONE, clock=SystemClock())
        began = anyio.current_time()
        await _taken_within(two, TWO, 5.0)
        assert TTL * 0.9 <= anyio.current_time() - began < TTL + 2.0
        assert lost.left < 0, "its holder knew before"
        with pytest.raises(LeaseHeld, match="process 22"):
            await lost.renew()


async def test_a_renewed_lease_is_kept(nats_server: NatsServer) -> None:
    async with _two(nats_server) as (one, two):
        lease = await Lease.take(one, "shop", ONE, clock=SystemClock())
        end = anyio.current_time() + 2.5 * TTL
        while anyio.current_time() < end:
            await lease.renew()
            with pytest.raises(LeaseHeld):
                await Lease.take(two, "shop", TWO, clock=SystemClock())


async def test_a_released_lease_is_free_at_once(nats_server: NatsServer) -> None:
    async with _two(nats_server) as (one, two):
        await (await Lease.take(one, "shop", ONE, clock=SystemClock())).release()
        lease = await Lease.take(two, "shop", TWO, clock=SystemClock())
        await lease.renew()


async def test_one_that_ended_while_nobody_wanted_it_can_be_renewed(nats_server: NatsServer) -> None:
    async with _two(nats_server) as (one, two):
        lease = await Lease.take(one, "shop", ONE, clock=SystemClock())
        await (await _taken_within(two, TWO, 5.0)).release()
        await lease.renew()
        assert lease.left > 0


async def test_what_is_left_counts_from_before_the_last_success(nats_server: NatsServer, clock: ManualClock) -> None:
    async with connect(_options(nats_server)) as bus:
        lease = await Lease.take(bus, "shop", ONE, clock=clock)
        assert lease.left == TTL
        await clock.advance(0.75)
        assert lease.left == 0.25


async def test_a_bucket_of_other_settings_sets_the_time(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _two(nats_server) as (one, two):
        await Lease.take(one, "shop", ONE, clock=SystemClock())
        monkeypatch.setattr(lease_module, "TTL", 33.0)
        lease = await Lease.take(two, "other", TWO, clock=SystemClock())
        assert lease.ttl == TTL


async def test_one_that_is_cut_off_cannot_renew_and_says_so(nats_server: NatsServer) -> None:
    port = int(nats_server.url.rpartition(":")[2])
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(TcpProxy.open(port))
        options = msgspec.structs.replace(_options(nats_server), url=f"nats://127.0.0.1:{proxy.port}")
        bus = await stack.enter_async_context(connect(options))
        lease = await Lease.take(bus, "shop", ONE, clock=SystemClock())
        until = lease._until
        proxy.blackhole()
        with pytest.raises(BusUnavailable, match="no answer from JetStream"):
            await lease.renew()
        assert lease._until == until
        proxy.pass_through()


@pytest.fixture
def plain_server(tmp_path: Path) -> Iterator[str]:
    """A server without JetStream; returns its URL."""
    ports = tmp_path / "ports"
    ports.mkdir()
    (tmp_path / "plain.conf").write_text(f'listen: "127.0.0.1:-1"\nports_file_dir: "{ports}"\n', encoding="utf-8")
    command = [str(find_binary()), "-c", str(tmp_path / "plain.conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 10
        while not (found := [file.read_bytes() for file in ports.iterdir() if file.stat().st_size]):
            assert time.monotonic() < end, "the server says its ports"
        yield msgspec.json.decode(found[0])["nats"][0]
        process.terminate()


async def test_a_server_without_jetstream_keeps_no_leases(plain_server: str) -> None:
    async with connect(ConnectOptions(url=plain_server)) as bus:
        with pytest.raises(NoLeases, match="no JetStream"):
            await Lease.take(bus, "shop", ONE, clock=SystemClock())


# --- asking


def _wants(holder: Holder) -> Holder:
    return msgspec.structs.replace(holder, state="wants")


async def test_one_that_holds_is_found_by_asking(plain_server: str) -> None:
    async with (
        connect(ConnectOptions(url=plain_server)) as one,
        connect(ConnectOptions(url=plain_server)) as two,
        RollCall.open(one, "shop", _wants(TWO)) as first,
        RollCall.open(two, "other", _wants(ONE)) as elsewhere,
    ):
        await first.claim(within=0.2)
        async with RollCall.open(two, "shop", _wants(ONE)) as second:
            with pytest.raises(LeaseHeld, match="process 22"):
                await second.claim(within=5.0)
        await elsewhere.claim(within=0.2)


async def test_the_same_owner_is_not_asked_away(plain_server: str) -> None:
    async with (
        connect(ConnectOptions(url=plain_server)) as bus,
        RollCall.open(bus, "shop", ONE),
        RollCall.open(bus, "shop", _wants(ONE)) as again,
    ):
        await again.claim(within=0.2)


@pytest.mark.parametrize("order", [(ONE, TWO), (TWO, ONE)])
async def test_of_two_that_ask_at_once_the_lower_owner_gets_it(plain_server: str, order: tuple[Holder, Holder]) -> None:
    got = list[str]()

    async def want(holder: Holder) -> None:
        async with (
            connect(ConnectOptions(url=plain_server)) as bus,
            RollCall.open(bus, "shop", _wants(holder)) as call,
        ):
            try:
                await call.claim(within=0.5)
                got.append(holder.owner)
            except LeaseHeld:
                return
            await anyio.sleep(0.5)

    async with anyio.create_task_group() as tasks:
        for holder in order:
            tasks.start_soon(want, holder)
    assert got == [ONE.owner]


@given(
    one=st.text(min_size=1), two=st.text(min_size=1), states=st.lists(st.sampled_from(["wants", "holds"]), min_size=2)
)
def test_of_two_owners_that_want_it_exactly_one_yields(one: str, two: str, states: list[str]) -> None:
    mine = Holder(owner=one, host="h", pid=1, state="holds" if states[0] == "holds" else "wants")
    other = Holder(owner=two, host="h", pid=2, state="holds" if states[1] == "holds" else "wants")
    if one != two and "wants" in states[:2]:
        assert yields(mine, other) != yields(other, mine)
    else:
        assert not yields(mine, other)
