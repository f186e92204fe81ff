"""Orders have an author: a fleet that names persons obeys them alone, and says in each event who it was."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from callboard.bus import Key
from callboard.supervisor.cli.exits import Exit
from callboard.supervisor.errors import BadPersonKey, NoAuthor
from callboard.supervisor.messages import Order, Stop
from callboard.supervisor.persons import FRESH_FOR, Command, Persons, PersonTable, find_key, make_key, sealed
from callboard.testing import ManualClock

from .conftest import FLEET, Daemon

HOLD = Order(verb="hold", actor="desk")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ada() -> Key:
    return Key.new("user")


@pytest.fixture
def persons(ada: Key, clock: ManualClock) -> Persons:
    """Return those of a fleet that knows one."""
    return Persons(lambda: [PersonTable(name="ada", key=ada.public)], fleet="shop", clock=clock)


def test_where_no_person_is_named_anybody_with_the_login_gives_orders(clock: ManualClock) -> None:
    assert Persons(list, fleet="shop", clock=clock).author(HOLD) == ""


def test_a_signed_order_has_an_author(persons: Persons, ada: Key, clock: ManualClock) -> None:
    assert persons.author(sealed(HOLD, ada, fleet="shop", now=clock.now())) == "ada"


def _as(order: Command, **changed: Any) -> Command:
    assert order.seal is not None
    return msgspec.structs.replace(order, seal=msgspec.structs.replace(order.seal, **changed))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda order: msgspec.structs.replace(order, seal=None), "obeys persons only"),
        (lambda order: msgspec.structs.replace(order, actor="clerk"), "was changed on its way"),
        (lambda order: msgspec.structs.replace(order, verb="revive"), "was changed on its way"),
        (lambda order: Stop(seal=order.seal), "was changed on its way"),
        (lambda order: _as(order, nonce="another"), "was changed on its way"),
        (lambda order: _as(order, at=order.seal.at + 1.0), "was changed on its way"),
        (lambda order: _as(order, signature="no base64"), "was changed on its way"),
        (lambda order: _as(order, signature=""), "was changed on its way"),
        (lambda order: _as(order, key=Key.new("user").public), "is no person's here"),
        (lambda order: _as(order, key=""), "is no person's here"),
    ],
)
def test_what_is_not_signed_as_it_is_has_none(
    persons: Persons, ada: Key, clock: ManualClock, change: Callable[[Any], Command], why: str
) -> None:
    order = sealed(HOLD, ada, fleet="shop", now=clock.now())
    with pytest.raises(NoAuthor, match=why):
        persons.author(change(order))
    assert persons.author(order) == "ada"


def test_an_order_is_for_one_fleet_for_a_minute_and_once(persons: Persons, ada: Key, clock: ManualClock) -> None:
    with pytest.raises(NoAuthor, match="changed on its way"):
        persons.author(sealed(HOLD, ada, fleet="other", now=clock.now()))
    for wrong in (-FRESH_FOR - 1.0, FRESH_FOR + 1.0, float("nan"), float("inf")):
        with pytest.raises(NoAuthor, match="do the clocks agree"):
            persons.author(sealed(HOLD, ada, fleet="shop", now=clock.now() + wrong))
    order = sealed(HOLD, ada, fleet="shop", now=clock.now())
    assert persons.author(order) == "ada"
    with pytest.raises(NoAuthor, match="given before"):
        persons.author(order)


async def test_an_order_from_before_the_daemon_began_is_not_taken_again(ada: Key, clock: ManualClock) -> None:
    tables = [PersonTable(name="ada", key=ada.public)]
    order = sealed(HOLD, ada, fleet="shop", now=clock.now())
    assert Persons(lambda: tables, fleet="shop", clock=clock).author(order) == "ada"
    await clock.advance(5.0)
    with pytest.raises(NoAuthor, match="before the daemon began"):
        Persons(lambda: tables, fleet="shop", clock=clock).author(order)


def test_who_is_no_person_any_more_is_none_at_once(ada: Key, clock: ManualClock) -> None:
    tables = [PersonTable(name="ada", key=ada.public), PersonTable(name="bob", key=Key.new("user").public)]
    persons = Persons(lambda: tables, fleet="shop", clock=clock)
    del tables[0]
    with pytest.raises(NoAuthor, match=r"no person's here \(bob\)"):
        persons.author(sealed(HOLD, ada, fleet="shop", now=clock.now()))


# --- where a key lies


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have this test's key lie in a folder of its own."""
    monkeypatch.setenv("CALLBOARD_KEY", str(tmp_path / "mine" / "key"))
    return tmp_path / "mine" / "key"


def test_a_key_is_made_once_and_for_its_owner_alone(at: Path) -> None:
    made = make_key()
    assert at.stat().st_mode & 0o777 == 0o600
    found = find_key()
    assert found is not None
    assert found.public == made.public
    with pytest.raises(BadPersonKey, match="no key can be made"):
        make_key()


def test_a_key_that_others_can_read_or_that_is_none_is_refused_with_what_to_do(at: Path) -> None:
    with pytest.raises(BadPersonKey, match="there is no such file"):
        find_key()
    make_key()
    at.chmod(0o640)
    with pytest.raises(BadPersonKey, match="chmod 600"):
        find_key()
    at.chmod(0o600)
    for text in ("nonsense", "", "\udcff"):
        at.write_bytes(text.encode(errors="surrogateescape"))
        with pytest.raises(BadPersonKey, match="is no person's key"):
            find_key()


def test_without_a_key_nothing_is_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALLBOARD_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert find_key() is None


# --- from the command to the record


def test_a_fleet_of_persons_obeys_them_alone_and_the_record_names_them(
    make_daemon: Callable[..., Daemon], at: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = make_key()
    daemon = make_daemon(f'{FLEET}\n[[person]]\nname = "Ada"\nkey = "{ada.public}"\n').start()
    assert daemon.run("hold", "desk").returncode == 0
    assert daemon.row("desk")["state"] == "held"
    assert "hold, by Ada" in [event["text"] for event in daemon.json("events", "--of", "desk")]
    for name, text in (("none", None), ("another", Key.new("user").seed)):
        file = tmp_path / name
        if text is not None:
            file.write_text(text, encoding="utf-8")
            file.chmod(0o600)
            monkeypatch.setenv("CALLBOARD_KEY", str(file))
        else:
            monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
            monkeypatch.delenv("CALLBOARD_KEY")
        for words in (["revive", "desk"], ["reload"], ["down"], ["dead", "drop", "x"]):
            refused = daemon.run(*words)
            assert refused.returncode == Exit.REFUSED, words
            assert "no-author" in refused.stderr
        assert daemon.row("desk")["state"] == "held", "it can still be looked at"
    assert "order-refused" in daemon.kinds("desk")
    os.environ["CALLBOARD_KEY"] = str(at)
    assert daemon.run("revive", "desk").returncode == 0
    assert daemon.run("down").returncode == 0
    assert "told to by 'callboard down' of Ada" in daemon.text()
