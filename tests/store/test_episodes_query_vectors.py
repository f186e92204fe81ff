"""Vectors of recent queries are kept, a bounded number of them, and none of them over a forgetting."""

import anyio

from callboard.store.episodes.query_vectors import KEPT, QueryVectors

from .embedders import Fake, Gated


async def test_the_same_question_is_embedded_once_and_another_embedder_is_asked_anew() -> None:
    kept, one, other = QueryVectors(), Fake(), Fake(id="other-256")
    for embedder in (one, one, other):
        assert await kept.of("where is my card", embedder) is not None
    assert (one.asked, other.asked) == (["where is my card"], ["where is my card"])


async def test_those_asked_longest_ago_go_first() -> None:
    kept, embedder = QueryVectors(), Fake()
    for at in range(2 * KEPT):
        await kept.of(f"question {at}", embedder)
    embedder.asked.clear()
    await kept.of(f"question {2 * KEPT - 1}", embedder)
    await kept.of("question 0", embedder)
    assert embedder.asked == ["question 0"]


async def test_one_that_is_being_made_while_somebody_is_forgotten_is_not_kept() -> None:
    kept, embedder = QueryVectors(), Gated()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kept.of, "where does Ada live", embedder)
        await embedder.came.wait()
        kept.forget()
        embedder.gate.set()
    embedder.asked.clear()
    await kept.of("where does Ada live", embedder)
    assert embedder.asked == ["where does Ada live"]
