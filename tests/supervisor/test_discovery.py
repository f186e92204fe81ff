"""The service protocol of NATS: what a guest learns of the actors without knowing anything of Callboard."""

# The service structs of nats-py have no types:
# pyright: reportUnknownMemberType=false

import json
import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import nats
from nats.aio.client import Client
from nats.micro.service import ServiceInfo, ServicePing, ServiceStats

from .conftest import Daemon

HI = b'{"type": "Question", "text": "hi"}'
BOOM = b'{"type": "Question", "text": "boom"}'


@asynccontextmanager
async def guest(daemon: Daemon) -> AsyncGenerator[Client]:
    at = daemon.where()
    client = await nats.connect(at["url"], user_credentials=daemon.guest, allow_reconnect=False)
    try:
        yield client
    finally:
        await client.close()


async def heard(daemon: Daemon, client: Client, *subjects: str, body: bytes = b"") -> list[Any]:
    """Ask at each subject, and return all answers of the whole fleet, by name.

    ``ps`` passes through each process of the fleet after the question did; the flush is behind all their answers.
    """
    inbox = client.new_inbox()
    answers = await client.subscribe(inbox)
    for subject in subjects:
        await client.publish(subject, body, reply=inbox)
    await client.flush()
    daemon.json("ps")
    await client.flush()
    found = [json.loads((await answers.next_msg(timeout=1)).data) for _ in range(answers.pending_msgs)]
    return sorted(found, key=lambda answer: str(answer["name"]))


async def about(daemon: Daemon, client: Client, verb: str, actor: str) -> Any:
    (answer,) = await heard(daemon, client, f"$SRV.{verb}.{actor}")
    return answer


async def counts(daemon: Daemon, client: Client, actor: str) -> Any:
    (endpoint,) = (await about(daemon, client, "STATS", actor))["endpoints"]
    return endpoint


def identity(answer: Any, *, actor: str, kind: str, is_open: str) -> dict[str, Any]:
    """Return what an answer must begin with; its id is as it is."""
    facts = {"fleet": "shop", "cell": actor, "class": actor.capitalize(), "open": is_open}
    return {
        "type": f"io.nats.micro.v1.{kind}_response",
        "name": actor,
        "id": answer["id"],
        "version": "0.1.0",
        "metadata": facts,
    }


async def test_all_are_asked_at_once_and_each_actor_answers_once_but_none_of_the_runtime(daemon: Daemon) -> None:
    async with guest(daemon) as client:
        for verb in ("PING", "INFO", "STATS"):
            answers = await heard(daemon, client, f"$SRV.{verb}")
            assert [answer["name"] for answer in answers] == ["clerk", "desk"]
            assert {answer["type"] for answer in answers} == {f"io.nats.micro.v1.{verb.lower()}_response"}
            assert len({answer["id"] for answer in answers}) == 2


async def test_who_is_asked_for_by_name_or_by_name_and_id_answers_alone(daemon: Daemon) -> None:
    async with guest(daemon) as client:
        ping = await about(daemon, client, "PING", "desk")
        assert ping == identity(ping, actor="desk", kind="ping", is_open="true")
        by_id = await heard(daemon, client, *(f"$SRV.{verb}.desk.{ping['id']}" for verb in ("PING", "INFO", "STATS")))
        assert [(answer["name"], answer["id"]) for answer in by_id] == [("desk", ping["id"])] * 3
        nobody = (f"clerk.{ping['id']}", "desk.other", f"desk.{ping['id']}.more", "nobody", "Desk", "*", "desk.*")
        runtime = ("supervisor", "cell-desk", "cell-clerk")
        assert await heard(daemon, client, *(f"$SRV.PING.{which}" for which in (*nobody, *runtime))) == []


async def test_info_says_what_an_actor_takes_and_where(daemon: Daemon) -> None:
    async with guest(daemon) as client:
        desk, clerk = await about(daemon, client, "INFO", "desk"), await about(daemon, client, "INFO", "clerk")
    assert desk == identity(desk, actor="desk", kind="info", is_open="true") | {
        "description": "Answer in capitals.",
        "endpoints": [
            {
                "name": "mailbox",
                "subject": "cb.shop.to.desk",
                "queue_group": "cb",
                "metadata": {"messages": "Question", "topics": ""},
            }
        ],
    }
    assert clerk == identity(clerk, actor="clerk", kind="info", is_open="false") | {
        "description": "Not open; counts notes and events.",
        "endpoints": [
            {
                "name": "mailbox",
                "subject": "cb.shop.to.clerk.*",
                "queue_group": "cb",
                "metadata": {"messages": "Note, Question", "topics": "news"},
            }
        ],
    }


async def test_an_actor_is_reached_at_the_subject_that_info_names(daemon: Daemon) -> None:
    async with guest(daemon) as client:
        info = await about(daemon, client, "INFO", "desk")
        reply = await client.request(info["endpoints"][0]["subject"], HI, timeout=5)
    assert json.loads(reply.data)["text"] == "HI"


async def test_stats_of_an_actor_that_has_done_nothing_are_zeros(daemon: Daemon) -> None:
    async with guest(daemon) as client:
        stats = await about(daemon, client, "STATS", "clerk")
    age = datetime.now(tz=UTC) - datetime.fromisoformat(stats["started"])
    assert timedelta() < age < timedelta(seconds=60)
    assert stats == identity(stats, actor="clerk", kind="stats", is_open="false") | {
        "started": stats["started"],
        "endpoints": [
            {
                "name": "mailbox",
                "subject": "cb.shop.to.clerk.*",
                "queue_group": "cb",
                "num_requests": 0,
                "num_errors": 0,
                "last_error": "",
                "processing_time": 0,
                "average_processing_time": 0,
                "data": {"depth": 0, "in_hand": 0, "refused": 0, "state": "running", "restarts": 0},
            }
        ],
    }


async def test_requests_errors_and_refusals_are_counted_and_timed(daemon: Daemon) -> None:
    async with guest(daemon) as client:
        for body in (HI, BOOM, b'{"type": "Question", "text": "slow", "wait": 0.05}', b'{"type": "Unknown"}'):
            await client.request("cb.shop.to.desk", body, timeout=5)
        found = await counts(daemon, client, "desk")
    assert (found["num_requests"], found["num_errors"], found["data"]["refused"]) == (3, 1, 1)
    assert found["last_error"] == "ValueError", "the class alone: a text may quote what somebody else asked"
    assert 50_000_000 <= found["processing_time"] < 5_000_000_000
    assert found["average_processing_time"] == found["processing_time"] // 3


async def test_what_is_in_hand_is_seen_while_it_is_there(daemon: Daemon) -> None:
    async with guest(daemon) as client:
        inbox = client.new_inbox()
        await client.subscribe(inbox)
        for _ in range(3):
            await client.publish("cb.shop.to.desk", b'{"type": "Question", "text": "x", "wait": 20}', reply=inbox)
        await client.flush()
        daemon.wait(lambda: daemon.row("desk")["in_hand"] == ["Question"], "the question to be in hand")
        found = await counts(daemon, client, "desk")
    assert (found["data"]["in_hand"], found["data"]["depth"], found["num_requests"]) == (1, 2, 0)


async def test_a_new_incarnation_has_another_id_and_counts_from_zero(daemon: Daemon) -> None:
    async with guest(daemon) as client:
        await client.request("cb.shop.to.desk", HI, timeout=5)
        first = await about(daemon, client, "STATS", "desk")
        killed = daemon.row("desk")["pid"]
        os.kill(killed, signal.SIGKILL)
        # A guest's question on its way to a dying process is lost: wait for the next one.
        daemon.wait(lambda: daemon.row("desk")["pid"] not in (killed, 0, None), "the next process")
        daemon.wait(lambda: daemon.row("desk")["state"] == "running", "the next incarnation")
        await client.request("cb.shop.to.desk", HI, timeout=10)
        second = await about(daemon, client, "STATS", "desk")
        assert await heard(daemon, client, f"$SRV.PING.desk.{first['id']}") == []
    assert second["id"] != first["id"]
    assert second["started"] > first["started"]
    assert second["endpoints"][0]["num_requests"] == 1


async def test_a_held_actor_still_answers_and_says_so(daemon: Daemon) -> None:
    assert daemon.run("hold", "desk").returncode == 0
    async with guest(daemon) as client:
        assert (await counts(daemon, client, "desk"))["data"]["state"] == "held"


async def test_the_body_of_a_question_is_of_no_matter(daemon: Daemon) -> None:
    async with guest(daemon) as client:
        for body in (b"{", b'{"type": "Question"}', b"\xc1\xff", b"[" * 100_000):
            answers = await heard(daemon, client, "$SRV.PING", body=body)
            assert [answer["name"] for answer in answers] == ["clerk", "desk"], body[:20]


async def test_an_answer_is_never_sent_into_the_fleet(daemon: Daemon) -> None:
    async with guest(daemon) as client:
        for inside in ("cb.shop.to.desk", "cb.shop.to.desk.desk", "cb.shop.on.news.desk", "_CB.x", "$SRV.PING", ""):
            for verb in ("PING", "INFO.desk", "STATS.clerk"):
                await client.publish(f"$SRV.{verb}", b"", reply=inside)
        await client.flush()
        for actor in ("desk", "clerk"):
            found = await counts(daemon, client, actor)
            assert (found["num_requests"], found["data"]["refused"], found["data"]["depth"]) == (0, 0, 0)


async def test_the_clients_own_service_structs_read_the_answers(daemon: Daemon) -> None:
    async with guest(daemon) as client:
        ping = ServicePing.from_dict(await about(daemon, client, "PING", "desk"))
        info = ServiceInfo.from_dict(await about(daemon, client, "INFO", "desk"))
        stats = ServiceStats.from_dict(await about(daemon, client, "STATS", "desk"))
    assert ping.id == info.id == stats.id
    assert info.endpoints[0].subject == stats.endpoints[0].subject == "cb.shop.to.desk"
