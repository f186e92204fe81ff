"""What happens to money when the office cannot write, and when budgets change under agents that ask."""

import resource
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import anyio
import pytest

from callboard.actors.llm import Usage
from callboard.supervisor.cli.exits import Exit
from tests.supervisor.conftest import Daemon

from .conftest import Remote
from .test_minds import DAY, ask, ledger, many, pids, spent

MakeFleet = Callable[..., Daemon]


def limit_files(pid: int, size: int) -> None:
    """Let no file of a process grow beyond `size` bytes: what it writes fails, as on a full disk."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_what_calls_did_cost_while_the_office_could_not_write_is_written_later(
    make_fleet: MakeFleet, remote: Remote
) -> None:
    daemon = make_fleet(f'{DAY}[[budget]]\ndollars = 0.05\nscope = "tree"\n').start()
    office = pids(daemon)["office"]
    remote.say("well", after=1.0, times=12)

    def fill(done: int) -> None:
        if done == 1:  # all twelve have their leases, and the office knows of one of them what it did cost, at most
            limit_files(office, 2_048)

    try:
        assert anyio.run(lambda: many(daemon, 12, meanwhile=fill)) == 12
        refused = daemon.run("ask", "writer", ask(timeout=2.0))
    finally:
        limit_files(office, resource.RLIM_INFINITY)
    assert refused.returncode != 0
    assert "the office did not answer in time" in refused.stderr
    daemon.wait(lambda: len(ledger(daemon, "SELECT id FROM ledger")) == 12, "all calls in the ledger")
    [(cost,)] = ledger(daemon, "SELECT sum(cost) FROM ledger")
    assert spent(daemon) >= cost > 0
    assert daemon.run("ask", "writer", ask()).returncode == 0
    assert "restarted" not in daemon.kinds("writer"), "the agent is not to blame"


@pytest.mark.parametrize("held", ['scope = "fleet"\nper = "day"', 'scope = "tree"', 'scope = "call"'])
def test_a_budget_that_is_added_by_a_reload_binds_who_asked_before(
    make_fleet: MakeFleet, remote: Remote, held: str
) -> None:
    daemon = make_fleet().start()
    assert daemon.run("ask", "writer", ask()).returncode == 0
    daemon.file.write_text(f"{daemon.file.read_text()}\n[[budget]]\ndollars = 0.000001\n{held}\n", encoding="utf-8")
    assert "rolled: office" in daemon.run("reload", within=60.0).stdout
    refused = daemon.run("ask", "writer", ask())
    assert "call-too-large" in refused.stderr, "nothing fits into it"
    assert remote.asked == 1


def test_a_budget_that_is_lowered_below_what_is_spent_lets_nothing_more_through(
    make_fleet: MakeFleet, remote: Remote
) -> None:
    daemon = make_fleet(DAY.replace("0.05", "5.0")).start()
    for _ in range(2):  # with a lease for more such calls
        remote.model.say("well", usage=Usage(input=100, output=1_000))
        assert daemon.run("ask", "writer", ask()).returncode == 0
    daemon.file.write_text(daemon.file.read_text().replace("5.0", "0.003"), encoding="utf-8")
    assert "rolled: office" in daemon.run("reload", within=60.0).stdout
    assert "of $0.003000" in daemon.run("cost").stdout
    assert daemon.run("ask", "writer", ask()).returncode == Exit.REFUSED
    daemon.wait(lambda: "budget-spent" in daemon.kinds("the fleet's budget for the day"), "the news")
    assert remote.asked == 2


def test_while_a_model_gets_another_name_old_and_new_cells_ask_on(make_fleet: MakeFleet, remote: Remote) -> None:
    daemon = make_fleet().start()
    before = pids(daemon)
    remote.say("well", after=5.0, times=1)
    with ThreadPoolExecutor() as pool:
        held = pool.submit(daemon.run, "ask", "writer", ask())
        daemon.wait(lambda: remote.asked == 1, "a call that holds the reload up")
        daemon.file.write_text(
            daemon.file.read_text().replace('model = "scripted"', 'model = "another"'), encoding="utf-8"
        )
        reloading = pool.submit(daemon.run, "reload", within=60.0)
        daemon.wait(lambda: daemon.row("writer")["state"] not in ("running", "waiting"), "the roll of the writer")
        meanwhile = daemon.run("ask", "clerk", ask("another thing"))
        assert not held.done()
        assert pids(daemon)["clerk"] == before["clerk"]
        assert (held.result().returncode, meanwhile.returncode) == (0, 0), meanwhile.stderr
        assert "rolled: writer, clerk, office" in reloading.result().stdout
    assert daemon.run("ask", "clerk", ask("a third")).returncode == 0
    assert [request.body["model"] for request in remote.model.requests] == ["scripted", "scripted", "another"]


def test_a_budget_that_is_added_by_a_reload_binds_calls_that_are_under_way(
    make_fleet: MakeFleet, remote: Remote
) -> None:
    daemon = make_fleet().start()
    remote.leave()
    with ThreadPoolExecutor() as pool:
        held = pool.submit(daemon.run, "ask", "writer", ask())
        daemon.wait(lambda: "waiting on model" in daemon.row("writer")["doing"], "a call under way")
        daemon.file.write_text(
            f'{daemon.file.read_text()}\n[[budget]]\ndollars = 0.000001\nper = "day"\n', encoding="utf-8"
        )
        assert "rolled: office" in daemon.run("reload", within=60.0).stdout
        remote.come_back()
        assert "call-too-large" in held.result().stderr
    assert remote.asked == 0
