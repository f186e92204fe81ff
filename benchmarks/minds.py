"""What asking a model costs beside the model: ``python -m benchmarks.minds``. Takes a minute.

The endpoint is a scripted one in a process of its own, which answers at once. Next to each other, in turn, in one
handler of a fleet with a budget: the bare ``openai`` client, ``ctx.llm`` with a question that is new each time (cache
looked into, money held and settled, ledger written), and ``ctx.llm`` with one that was asked before. What the fleet
adds to a real call is the difference of the medians; a real model takes a thousand times as long.
"""

import random
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median
from typing import Any, Final

import anyio

from callboard import (
    Actor,
    ActorSpec,
    BudgetTable,
    Context,
    EndpointTable,
    Fleet,
    LlmTable,
    Message,
    ModelTable,
    PriceTable,
    receive,
    settle_llm,
)
from callboard.actors.llm import ModelClient
from callboard.actors.llm.request import Request, Turn
from callboard.testing import ScriptedModel

from . import last_dollar, report
from .disturbance import Watch
from .limits import Limit, Measured
from .limits import rows_of as rows_of_limit
from .names import OPENAI
from .recall_cost import RESULTS
from .report import Row

ROUNDS: Final = 11
CALLS: Final = 100
"""Of each kind in a round."""
MOST: Final = 64
PREFIX: Final = "You write short answers to short questions. " * 20
CANCELS: Final = 1_000
CACHED: Final = Limit("a cached answer, in process", "µs", 150.0)
ADDED: Final = Limit("a real call, beyond the bare client", "µs", 1_000.0)


LEFT: Final = Limit(f"connections in use after {CANCELS:,} cancelled calls", "connections", 1.0)
BEYOND: Final = Limit(
    f"spent beyond a budget: {last_dollar.SCHEDULES:,} schedules, {last_dollar.CALLERS} callers", "nano-dollars", 1.0
)


class Round(Message):
    """One round of a kind."""

    kind: str
    number: int


class Took(Message):
    """Seconds of each call."""

    seconds: list[float]


class Asker(Actor):
    """Asks in each way."""

    @receive
    async def ask(self, message: Round, ctx: Context) -> Took:
        """Make the calls of one round."""
        llm, first = ctx.llm.using(most=MOST), message.number * CALLS
        ways: dict[str, Callable[[int], Awaitable[object]]] = {
            "bare": lambda at: _bare(self.options.url, first + at),
            "new": lambda at: llm.text(PREFIX + "{{question}}", question=first + at),
            "cached": lambda _at: llm.text(PREFIX + "{{question}}", question=-1),
        }
        seconds = list[float]()
        for at in range(CALLS):
            begin = time.perf_counter()
            await ways[message.kind](at)
            seconds.append(time.perf_counter() - begin)
        return Took(seconds=seconds)

    class Options(Message):
        """Where the bare client asks."""

        url: str = ""

    options: Options


_clients: dict[str, Any] = {}


async def _bare(url: str, number: int) -> None:
    import openai

    if url not in _clients:
        _clients[url] = openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
    await _clients[url].chat.completions.create(
        model="scripted", messages=[{"role": "user", "content": f"{PREFIX}{number}"}], max_completion_tokens=MOST,
        temperature=0,
    )  # fmt: skip


@asynccontextmanager
async def endpoint() -> AsyncGenerator[str, None]:
    """Run a scripted model in a process of its own for the length of the block; yield its URL."""
    command = [sys.executable, "-m", "benchmarks.minds", "--serve"]
    async with await anyio.open_process(command, stderr=None) as process:
        try:
            yield (await process.stdout.receive()).decode().strip() if process.stdout is not None else ""
        finally:
            process.kill()


async def serve() -> None:
    """Be the endpoint, until killed."""
    async with ScriptedModel() as model:
        model.answer = lambda _body: "well"
        print(model.url, flush=True)
        await anyio.sleep_forever()


async def measure() -> tuple[dict[str, list[float]], float]:
    """Return the median of each round in microseconds, by kind, and how busy other programs were."""
    rounds: dict[str, list[float]] = {"bare": [], "new": [], "cached": []}
    async with endpoint() as url:
        llm = settle_llm(
            LlmTable(), [EndpointTable(name="scripted", url=url)],
            [ModelTable(name="scripted", endpoint="scripted", price=PriceTable(input=1.0, output=1.0))],
            [BudgetTable(dollars=1_000.0, per="month")],
        )  # fmt: skip
        spec = ActorSpec(actor=Asker, name="asker", cell="main", options=Asker.Options(url=url))
        async with Fleet("minds", [spec], llm=llm) as fleet:
            watch = Watch()
            for number in range(ROUNDS + 1):
                for kind, values in rounds.items():
                    took = await fleet.ask(Asker.ask, Round(kind=kind, number=number), timeout=60.0)
                    if number:  # the first of each opens connections and files
                        values.append(median(took.seconds) * 1e6)
            others = watch.others()
        for client in _clients.values():
            await client.close()
    return rounds, others


async def left_behind(url: str) -> int:
    """Return how many connections are in use when a thousand calls were cancelled at moments of chance."""
    client = ModelClient(EndpointTable(name="scripted", url=url), key="")
    request = Request(model="scripted", turns=(Turn(role="user", content=PREFIX),), most=MOST)
    chance = random.Random(7)  # noqa: S311 - moments
    await client.ask(request, within=10.0)

    async def call() -> None:
        with anyio.move_on_after(chance.uniform(0.0, 0.05)):
            await client.ask(request, within=10.0)

    for _ in range(CANCELS // 50):
        async with anyio.create_task_group() as callers:
            for _ in range(50):
                callers.start_soon(call)
    await client.ask(request, within=10.0)
    left = client.in_use
    await client.aclose()
    return left


async def measure_all() -> tuple[list[Row], float]:
    """Return all rows, and how busy other programs were."""
    rounds, others = await measure()
    async with endpoint() as url:
        left = await left_behind(url)
    beyond = await last_dollar.overspent()
    limits = [
        row for limit, value in ((LEFT, left), (BEYOND, beyond)) for row in rows_of_limit(limit, Measured([value]))
    ]
    return [*rows_of(rounds), *limits], others


def rows_of(rounds: dict[str, list[float]]) -> list[Row]:
    """Return the promised limits, and our call next to the bare one."""
    added = [ours - bare for ours, bare in zip(rounds["new"], rounds["bare"], strict=True)]
    both = [*rounds["new"], *rounds["bare"]]
    ours, bare = median(rounds["new"]), median(rounds["bare"])
    call = Row(
        work="a real call of a model that answers at once", unit="µs, median", ours=round(ours, 1), peer=OPENAI,
        theirs=round(bare, 1), ratio=round(ours / bare, 3), better="lower", reach=None,
        spread=round((max(both) - min(both)) / median(both), 3), rounds=len(rounds["new"]),
    )  # fmt: skip
    cached = rows_of_limit(CACHED, Measured(rounds["cached"]))
    return [*cached, *rows_of_limit(ADDED, Measured([median(added)])), call]


def main() -> None:
    """Measure, and put the rows among the others."""
    if "--serve" in sys.argv:
        anyio.run(serve, backend_options={"use_uvloop": True})
        return
    rows, others = anyio.run(measure_all, backend_options={"use_uvloop": True})
    print(report.table(rows, {}))
    report.publish(RESULTS / "latest.json", rows, others)


if __name__ == "__main__":
    main()
