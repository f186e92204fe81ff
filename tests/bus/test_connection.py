"""A connection to a real server: how it begins, what it survives, and how it notices that it went deaf."""

# Whether the client knows that it is cut off is nobody else's business:
# pyright: reportPrivateUsage=false

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import msgspec
import pytest

from callboard.bus import BusClosed, BusUnavailable, Connection, ConnectOptions, NatsServer, connect, subjects
from callboard.ids import new_id

from ..contracts.ear import WITHIN, Ear
from ..faults.proxy import TcpProxy
from .by_hand import PASSWORD, USER, server_with_password, spoken
from .liar import Liar

SECRET = "hush-hush-password"  # noqa: S105 - of nothing


def _options(server: NatsServer, **changed: object) -> ConnectOptions:
    return msgspec.structs.replace(server.options(), **changed)


def _port(url: str) -> int:
    return urlsplit(url).port or 0


def _through(proxy: TcpProxy) -> str:
    return f"nats://127.0.0.1:{proxy.port}"


async def _until(done: Callable[[], bool], *, within: float = WITHIN) -> None:
    with anyio.fail_after(within):
        while not done():  # noqa: ASYNC110 - what is waited for is a state of the client, which has no event
            await anyio.sleep(0.005)


async def test_a_wrong_password_is_told_within_the_deadline_with_the_url_and_without_the_password(
    nats_server: NatsServer,
) -> None:
    began = time.monotonic()
    with pytest.raises(BusUnavailable, match="uthorization") as error:
        async with connect(_options(nats_server, credentials=None, user="them", password=SECRET, within=1.0)):
            pytest.fail("it cannot be let in")
    assert time.monotonic() - began < 1.5
    assert nats_server.url in error.value.text
    assert SECRET not in repr(error.value)
    assert SECRET not in repr(error.value.__cause__)


async def test_a_port_where_nobody_listens_is_told_within_the_deadline() -> None:
    began = time.monotonic()
    with pytest.raises(BusUnavailable, match=r"127\.0\.0\.1:1\b"):
        async with connect(ConnectOptions(url="nats://127.0.0.1:1", within=0.5)):
            pytest.fail("nobody is there")
    assert time.monotonic() - began < 2.0


async def test_a_server_that_says_nothing_is_told_within_the_deadline(nats_server: NatsServer) -> None:
    async with TcpProxy.open(_port(nats_server.url)) as proxy:
        proxy.blackhole()
        began = time.monotonic()
        with pytest.raises(BusUnavailable, match=r"within 0\.3 s"):
            async with connect(_options(nats_server, url=_through(proxy), within=0.3)):
                pytest.fail("nobody answers")
        assert time.monotonic() - began < 2.0


async def test_a_cancelled_start_leaves_no_connection(nats_server: NatsServer) -> None:
    async with TcpProxy.open(_port(nats_server.url)) as proxy:
        proxy.blackhole()
        with anyio.move_on_after(0.1):
            async with connect(_options(nats_server, url=_through(proxy))):
                pytest.fail("nobody answers")
        proxy.pass_through()
        await _until(lambda: proxy.connections == 0)


@pytest.mark.parametrize("within", [0.5, 5.0])
async def test_the_block_of_a_connection_may_end_at_once(nats_server: NatsServer, within: float) -> None:
    async with connect(_options(nats_server, within=within)) as bus:
        assert bus.max_payload == 1024**2


async def test_no_secret_is_in_a_representation(nats_server: NatsServer) -> None:
    options = _options(nats_server, password=SECRET)
    async with connect(options) as bus:
        shown = [repr(options), str(options), repr(bus), repr(bus.statistics())]
    who = nats_server.realm.owner
    assert not any(secret in text for secret in (who.seed, who.jwt, options.secret, SECRET) for text in shown)
    assert nats_server.url in repr(options)


async def test_a_password_in_the_url_is_in_no_representation_and_in_no_error(nats_server: NatsServer) -> None:
    url = f"nats://fleet:{SECRET}@127.0.0.1:{_port(nats_server.url)}"
    options = ConnectOptions(url=url, within=1.0)
    assert SECRET not in repr(options)
    with pytest.raises(BusUnavailable) as error:
        async with connect(options):
            pytest.fail("it cannot be let in")
    assert SECRET not in repr(error.value)
    assert f"127.0.0.1:{_port(nats_server.url)}" in error.value.text


@pytest.fixture
def password_port(tmp_path: Path) -> Iterator[int]:
    """Return the port of a server that knows a password."""
    with server_with_password(tmp_path) as port:
        yield port


async def test_a_login_in_the_url_is_a_login(password_port: int) -> None:
    url = f"nats://{USER}:{PASSWORD}@127.0.0.1:{password_port}"
    async with connect(ConnectOptions(url=url)) as bus:
        await bus.flush()
    with pytest.raises(BusClosed) as error:
        bus.publish("a", b"")
    assert PASSWORD not in repr(error.value)


# --- deafness


async def _goes_deaf(server: NatsServer, **changed: object) -> float:
    """Return how many seconds a connection took to notice that nothing comes through any more."""
    async with (
        TcpProxy.open(_port(server.url)) as proxy,
        connect(_options(server, url=_through(proxy), renewals=0, **changed)) as bus,
    ):
        await bus.flush()
        proxy.blackhole()
        began = time.monotonic()
        with anyio.fail_after(12.0):
            assert "deaf" in await bus.wait_closed()
        took = time.monotonic() - began
        with pytest.raises(BusClosed, match="deaf"):
            bus.publish("a", b"")
        proxy.pass_through()
    return took


async def test_a_deaf_connection_that_may_not_be_renewed_ends_itself(nats_server: NatsServer) -> None:
    assert await _goes_deaf(nats_server, probe_every=0.1, probe_within=0.1) < 1.0


async def test_a_connection_with_the_shipped_settings_notices_deafness_within_ten_seconds(
    nats_server: NatsServer,
) -> None:
    assert await _goes_deaf(nats_server) < 9.0


@pytest.mark.parametrize("where", ["to_client", "to_target"])
async def test_deafness_in_one_direction_is_noticed_too(nats_server: NatsServer, where: str) -> None:
    async with (
        TcpProxy.open(_port(nats_server.url)) as proxy,
        connect(_options(nats_server, url=_through(proxy), probe_every=0.05, probe_within=0.1, renewals=0)) as bus,
    ):
        await bus.flush()
        proxy.blackhole("to_client" if where == "to_client" else "to_target")
        with anyio.fail_after(WITHIN):
            assert "deaf" in await bus.wait_closed()


async def test_a_deaf_connection_is_made_anew_and_hears_again(nats_server: NatsServer) -> None:
    gaps, ear = list[float](), Ear()
    async with (
        TcpProxy.open(_port(nats_server.url)) as proxy,
        connect(_options(nats_server, url=_through(proxy), probe_every=0.05, probe_within=0.1)) as bus,
    ):
        bus.on_gap(lambda: gaps.append(bus.away))
        await bus.subscribe(f"{bus.inbox}.x", ear.hear)
        await bus.flush()
        proxy.blackhole()
        await _until(lambda: not bus._wire.is_connected)
        proxy.pass_through()
        await _until(lambda: bool(gaps))
        assert gaps[0] > 0
        bus.publish(f"{bus.inbox}.x", b"again")
        assert await ear.wait(1) == [b"again"]


async def test_a_connection_that_is_deaf_again_at_once_ends(nats_server: NatsServer) -> None:
    """The second one lets the handshake through and nothing else: making it anew has not helped."""
    gaps = list[int]()
    async with (
        TcpProxy.open(_port(nats_server.url)) as proxy,
        connect(_options(nats_server, url=_through(proxy), probe_every=0.2, probe_within=0.1)) as bus,
    ):

        def deaf_again() -> None:
            gaps.append(1)
            proxy.blackhole()

        bus.on_gap(deaf_again)
        await bus.flush()
        bus._wire.options["connect_timeout"] = 0.2
        proxy.blackhole()
        await _until(lambda: not bus._wire.is_connected)
        proxy.pass_through()
        with anyio.fail_after(WITHIN):
            assert "deaf" in await bus.wait_closed()
        assert len(gaps) == 1


async def test_a_flush_that_is_cut_off_fails_at_once(nats_server: NatsServer) -> None:
    async with (
        TcpProxy.open(_port(nats_server.url)) as proxy,
        connect(_options(nats_server, url=_through(proxy))) as bus,
        anyio.create_task_group() as tasks,
    ):
        proxy.blackhole("to_client")
        began = time.monotonic()
        tasks.start_soon(proxy.reset)
        with pytest.raises(BusUnavailable, match="cut off"):
            await bus.flush()
        assert time.monotonic() - began < 1.0
        proxy.pass_through()


async def test_one_missed_probe_is_forgiven(nats_server: NatsServer) -> None:
    ear = Ear()
    async with (
        TcpProxy.open(_port(nats_server.url)) as proxy,
        connect(_options(nats_server, url=_through(proxy), probe_every=0.2, probe_within=0.2)) as bus,
    ):
        await bus.subscribe(f"{bus.inbox}.p", ear.hear)
        probes = len(await ear.wait(1))
        proxy.delay(0.25)  # longer than one probe may take; the next one is back before two were missed
        with anyio.move_on_after(0.35):
            await bus.wait_closed()
        proxy.pass_through()
        await ear.wait(probes + 4)
        with anyio.move_on_after(0):
            pytest.fail(await bus.wait_closed())


async def test_a_slow_network_is_not_deaf(nats_server: NatsServer) -> None:
    ear = Ear()
    async with (
        TcpProxy.open(_port(nats_server.url)) as proxy,
        connect(_options(nats_server, url=_through(proxy), probe_every=0.05, probe_within=0.5)) as bus,
    ):
        proxy.delay(0.1)
        await bus.subscribe(f"{bus.inbox}.p", ear.hear)
        await ear.wait(4)
        bus.publish("a", b"")


async def test_a_loop_that_was_blocked_is_not_deaf(nats_server: NatsServer) -> None:
    ear = Ear()
    async with connect(_options(nats_server, probe_every=0.02, probe_within=0.05)) as bus:
        await bus.subscribe(f"{bus.inbox}.p", ear.hear)
        for round_number in range(1, 6):
            await ear.wait(round_number * 2)
            time.sleep(0.12)  # noqa: ASYNC251 - the claim is about exactly this
        heard = len(ear.heard)
        await ear.wait(heard + 2)
        bus.publish("a", b"")


# --- hostile bytes


async def _hears_on(bus: Connection, ear: Ear, subject: str) -> None:
    heard = len(ear.heard)
    bus.publish(subject, b"after")
    await ear.wait_until(lambda: b"after" in ear.data[heard:])
    await bus.flush()
    assert bus.statistics().reconnects == 0


@pytest.mark.parametrize(
    "header",
    [
        b"NATS/1.0 \xff\xfe\xfd\r\n\r\n",
        b"NATS/1.0\r\n\r\n",
        b"NATS/1.0 404\r\n\r\n",
        b"NATS/1.0 503\r\n\r\n",
        b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: \xff\r\n\r\n",
        b"NATS/1.0\r\nStatus: 404\r\n\r\n",
        b"NATS/1.0\r\nno colon\r\n: \r\n\x00\xff: \xff\r\n\r\n",
        b"NATS/1.0\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
        b"NATS/1.0 ",
        b"NATS/1.0",
        b"nonsense that is not a header at all",
        b"\x00",
    ],
)
@pytest.mark.parametrize("body", [b"", b"body"])
async def test_no_header_ends_the_reader(nats_server: NatsServer, header: bytes, body: bytes) -> None:
    subject, ear = new_id(), Ear()
    async with (
        connect(_options(nats_server)) as bus,
        spoken(nats_server.url, nats_server.realm.owner) as stream,
    ):
        await bus.subscribe(subject, ear.hear)
        await bus.flush()
        total = len(header) + len(body)
        await stream.send(b"HPUB %b %d %d\r\n%b%b\r\n" % (subject.encode(), len(header), total, header, body))
        await ear.wait(1)
        assert ear.data == [body]
        await _hears_on(bus, ear, subject)


@pytest.mark.parametrize("odd", [b"\x0b", b"\x0c", b"\x0b1", b"\x85", b"\xa0", b"\xff", b"\x00", b"\x1c", b"\xc2\xa0"])
async def test_no_subject_or_reply_address_of_a_guest_ends_the_reader(nats_server: NatsServer, odd: bytes) -> None:
    """The server takes more bytes in a subject than the client's parser does."""
    ear = Ear()
    async with (
        connect(_options(nats_server)) as bus,
        spoken(nats_server.url, nats_server.realm.guest) as stream,
    ):
        await bus.subscribe("cb.shop.to.*", ear.hear)
        await bus.flush()
        await stream.send(b"PUB cb.shop.to.front _INBOX.a%bb 2\r\n{}\r\n" % odd)
        await stream.send(b"PUB cb.shop.to.a%bb 2\r\n{}\r\n" % odd)
        await stream.send(b"PUB cb.shop.to.a%b 2\r\n{}\r\nPING\r\n" % odd)
        while b"PONG" not in await stream.receive():
            continue
        await _hears_on(bus, ear, "cb.shop.to.front")


async def test_bytes_that_are_no_protocol_do_not_leave_it_deaf(nats_server: NatsServer) -> None:
    """A server that talks nonsense costs the connection, visibly: it reconnects and says that there was a gap."""
    gaps, ear = list[int](), Ear()
    async with Liar.open(_port(nats_server.url)) as liar, connect(_options(nats_server, url=liar.url)) as bus:
        bus.on_gap(lambda: gaps.append(1))
        await bus.subscribe(f"{bus.inbox}.x", ear.hear)
        await bus.flush()
        await liar.say(b"MSG what 1 is this\r\n")
        await _until(lambda: bool(gaps))
        bus.publish(f"{bus.inbox}.x", b"again")
        assert await ear.wait(1) == [b"again"]


# --- reconnecting


async def test_after_a_reset_the_connection_comes_back_with_its_interests_and_says_that_there_was_a_gap(
    nats_server: NatsServer,
) -> None:
    gaps, ear, subject = list[str](), Ear(), new_id()
    async with (
        TcpProxy.open(_port(nats_server.url)) as proxy,
        connect(_options(nats_server, url=_through(proxy))) as bus,
    ):
        bus.on_gap(lambda: gaps.append("first"))
        bus.on_gap(lambda: gaps.append("second"))
        await bus.subscribe(subject, ear.hear)
        await bus.flush()
        await proxy.reset()
        await _until(lambda: len(gaps) == 2)
        assert gaps == ["first", "second"]
        assert bus.statistics().reconnects == 1
        await _hears_after(bus, ear, subject)


async def _hears_after(bus: Connection, ear: Ear, subject: str) -> None:
    await bus.flush()
    bus.publish(subject, b"after")
    await ear.wait_until(lambda: b"after" in ear.data)


async def test_after_a_restart_of_the_server_it_goes_on(tmp_path: Path) -> None:
    gaps, ear = list[int](), Ear()
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        bus.on_gap(lambda: gaps.append(1))
        await bus.subscribe("a", ear.hear)
        await bus.flush()
        await server.restart()
        await _until(lambda: bool(gaps))
        await _hears_after(bus, ear, "a")
        assert bus.statistics().reconnects == 1


async def test_a_gap_callback_that_raises_keeps_nobody_from_hearing(nats_server: NatsServer) -> None:
    gaps, ear, subject = list[int](), Ear(), new_id()

    def bad() -> None:
        raise RuntimeError("cannot stand gaps")

    async with (
        TcpProxy.open(_port(nats_server.url)) as proxy,
        connect(_options(nats_server, url=_through(proxy))) as bus,
    ):
        bus.on_gap(bad)
        bus.on_gap(lambda: gaps.append(1))
        await bus.subscribe(subject, ear.hear)
        await bus.flush()
        await proxy.reset()
        await _until(lambda: bool(gaps))
        await _hears_after(bus, ear, subject)


async def test_cut_off_it_buffers_up_to_a_bound_and_then_refuses(tmp_path: Path) -> None:
    ear = Ear()
    async with NatsServer.open(tmp_path, fleet="shop") as server, connect(_options(server)) as bus:
        await bus.subscribe("a", ear.hear)
        await bus.flush()
        await server.stop()
        await _until(lambda: not bus._wire.is_connected)
        for _ in range(20):
            bus.publish("a", bytes(100_000))
        with pytest.raises(BusUnavailable, match="already wait"):
            bus.publish("a", bytes(100_000))
        assert 2_000_000 <= bus.statistics().pending_bytes <= 2 * 1024**2
        with pytest.raises(BusUnavailable):
            await bus.flush(timeout=0.2)


async def test_a_flush_that_nobody_answers_fails_in_time_and_leaves_no_harm(nats_server: NatsServer) -> None:
    ear, subject = Ear(), new_id()
    async with (
        TcpProxy.open(_port(nats_server.url)) as proxy,
        connect(_options(nats_server, url=_through(proxy))) as bus,
    ):
        await bus.subscribe(subject, ear.hear)
        await bus.flush()
        proxy.delay(0.3)
        with pytest.raises(BusUnavailable, match=r"within 0\.1 s"):
            await bus.flush(timeout=0.1)
        await _hears_on(bus, ear, subject)


async def test_closing_while_the_network_is_gone_ends_in_time(nats_server: NatsServer) -> None:
    async with TcpProxy.open(_port(nats_server.url)) as proxy:
        async with connect(_options(nats_server, url=_through(proxy))) as bus:
            await bus.flush()
            proxy.blackhole()
            for _ in range(20):
                bus.publish("a", bytes(1_000_000))
            began = time.monotonic()
        assert time.monotonic() - began < 3.0
        proxy.pass_through()


async def test_what_is_delivered_under_another_subject_than_is_listened_to_is_not_heard(
    nats_server: NatsServer,
) -> None:
    """Who asks a server for stored messages may name any address for them, and they keep the subject of their own."""
    ear, fleet = Ear(), f"f-{new_id()}"
    async with connect(_options(nats_server)) as bus:
        await bus.queue.declare(fleet, "desk")
        await bus.queue.open(fleet, "desk", ack_wait=20.0)
        where = subjects.work(fleet, "desk", lane="normal", sender="liar")
        await bus.queue.store(where, b"stored", id="one", timeout=WITHIN)
        await bus.subscribe(subjects.mailbox(fleet, "clerk"), ear.hear)
        await bus.flush()
        address = subjects.mailbox(fleet, "clerk", sender="liar")
        refused = bus.statistics().refused
        bus.publish(f"$JS.API.CONSUMER.MSG.NEXT.cb_{fleet}_desk.normal", b"1", reply=address)
        with anyio.fail_after(WITHIN):
            while bus.statistics().refused == refused:  # noqa: ASYNC110 - a count, which tells nobody
                await anyio.sleep(0.01)
        bus.publish(address, b"said")
        await ear.wait(1)
    assert ear.data == [b"said"]
