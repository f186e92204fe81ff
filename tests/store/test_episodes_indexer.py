"""The indexer: file and index become equal, whatever the embedder does."""

from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from callboard.store import EmbedderMismatch
from callboard.store.episodes import vectors

from .embedders import LIES, Fake, Fussy, Gated, Narrow, Remote
from .remembered import indexed, opened, situations, told, until

if TYPE_CHECKING:
    from callboard.store.episodes.embedder import Vectors


async def test_vectors_follow_what_is_remembered(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        for at in range(130):
            await memory.remember(told(f"payment {at} bounced"))
        found = await memory.recall("payment 77 bounced")
        assert found.by == "words and vectors"
        assert situations(found)[0] == "payment 77 bounced"
        await indexed(memory, 130)
        assert (await memory.stats()).waiting == 0
    async with opened(tmp_path) as memory:
        await indexed(memory, 130)


async def test_a_recall_sees_by_likeness_what_was_just_remembered(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        for at in range(30):
            await memory.remember(told(f"disk {at} full"))
            [best, *_] = (await memory.recall(f"disk {at} full")).episodes
            assert best.likeness is not None
            assert best.likeness > 0.99


async def test_with_the_embedder_away_words_are_left_and_it_is_said(tmp_path: Path) -> None:
    embedder, said = Fake(), list[str]()
    embedder.away = True
    async with opened(tmp_path, embedder=embedder, said=said) as memory:
        await memory.remember(told("the printer is on fire"))
        await until(lambda: bool(said))
        found = await memory.recall("printer fire")
        assert (found.by, situations(found)) == ("words", ["the printer is on fire"])
        assert found.episodes[0].likeness is None
        assert said == ["memory-index-waits"]
        stats = await memory.stats()
        assert (stats.waiting, stats.indexed, stats.trouble) == (1, 0, "it is away")
        embedder.away = False
        memory.indexer.wake()
        await indexed(memory, 1)
        assert (await memory.recall("printer fire")).by == "words and vectors"


async def test_an_embedder_that_goes_away_later_costs_likeness_alone(tmp_path: Path) -> None:
    embedder = Fake()
    async with opened(tmp_path, embedder=embedder) as memory:
        await memory.remember(told("the printer is on fire"))
        await indexed(memory, 1)
        embedder.away = True
        found = await memory.recall("fire in the printer")
        assert (found.by, situations(found)) == ("words", ["the printer is on fire"])


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
async def test_a_lie_is_not_stored_and_does_not_end_the_memory(tmp_path: Path, lie: object) -> None:
    embedder, said = Fake(), list[str]()
    async with opened(tmp_path, embedder=embedder, said=said) as memory:
        await memory.remember(told("a truth that is there"))
        await indexed(memory, 1)
        embedder.lie = lie  # type: ignore[assignment]  # one of LIES
        await memory.remember(told("a second truth"))
        await memory.remember(told("a third truth"))
        await until(lambda: bool(said) or memory.indexer.behind == 0)
        found = await memory.recall("truth")
        assert (found.by, len(found.episodes)) == ("words", 3)
        assert memory.indexer.index.numbers == {1}
        embedder.lie = None
        memory.indexer.wake()
        await until(lambda: memory.indexer.behind == 0)
        assert (await memory.recall("truth at last")).by == "words and vectors"


async def test_a_text_that_is_refused_holds_up_no_other(tmp_path: Path) -> None:
    embedder, said = Fussy(), list[str]()
    embedder.away = True
    async with opened(tmp_path, embedder=embedder, said=said) as memory:
        for at in range(100):
            await memory.remember(told(f"{'poison' if at in {0, 7, 8, 99} else 'honey'} {at}"))
        await until(lambda: bool(said))
        embedder.away = False
        memory.indexer.wake()
        await indexed(memory, 96)
        await until(lambda: memory.indexer.trouble == "it does not like that")
        assert (await memory.stats()).waiting == 4


async def test_an_embedder_with_a_bug_costs_likeness_alone(tmp_path: Path) -> None:
    def bug(_: object) -> "Vectors":
        raise ZeroDivisionError

    said = list[str]()
    async with opened(tmp_path, embedder=Fake(lie=bug), said=said) as memory:
        await memory.remember(told("it is there"))
        await until(lambda: bool(said))
        found = await memory.recall("there")
        assert (found.by, situations(found)) == ("words", ["it is there"])
        assert "ZeroDivisionError" in (await memory.stats()).trouble


async def test_a_slow_embedder_that_says_so_holds_up_no_recall(tmp_path: Path) -> None:
    embedder = Remote()
    async with opened(tmp_path, embedder=embedder) as memory:
        await memory.remember(told("the tap drips"))
        await embedder.came.wait()
        before = anyio.current_time()
        found = await memory.recall("tap")
        assert (found.by, situations(found)) == ("words", ["the tap drips"])
        assert anyio.current_time() - before < 0.2
        embedder.gate.set()


async def test_what_comes_while_a_batch_is_embedded_is_not_taken_as_done(tmp_path: Path) -> None:
    embedder = Gated()
    async with opened(tmp_path, embedder=embedder) as memory:
        await memory.remember(told("first"))
        await embedder.came.wait()
        await memory.remember(told("second"))
        assert memory.indexer.behind == 2
        embedder.gate.set()
        await indexed(memory, 2)
        await until(lambda: memory.indexer.behind == 0)


async def test_texts_without_a_known_word_have_no_vector_and_wait_for_none(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        await memory.remember(told("?! ..."))
        await memory.remember(told("words at last"))
        await indexed(memory, 1)
        assert (await memory.stats()).waiting == 0


async def test_nearly_the_same_is_linked(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        text = " ".join(f"word{at}" for at in range(60))
        old = await memory.remember(told(text))
        new = await memory.remember(told(text + " more"))
        other = await memory.remember(told("something else"))
        await indexed(memory, 3)
        [link] = (await memory.show(new.id))[1]
        assert (link.kind, link.id) == ("near", old.id)
        assert link.likeness is not None
        assert link.likeness >= 0.95
        assert [each.id for each in (await memory.show(old.id))[1]] == [new.id]
        assert (await memory.show(other.id))[1] == []


async def test_vectors_of_two_embedders_are_never_mixed(tmp_path: Path) -> None:
    said = list[str]()
    async with opened(tmp_path) as memory:
        await memory.remember(told("made by one"))
        await indexed(memory, 1)
    for other in (Fake(id="other"), Narrow()):
        async with opened(tmp_path, embedder=other, said=said) as memory:
            await memory.remember(told(f"heard with {other.id}"))
            assert (await memory.recall("one")).by == "words"
            assert len(memory.indexer.index) == 0
            with pytest.raises(EmbedderMismatch):
                await memory.db.write(lambda conn, of=other.id: vectors.settle(conn, of, [(2, b"1234")]))  # type: ignore[misc]  # the loop's own value
    assert said == ["memory-embedder-changed"] * 2
    async with opened(tmp_path) as memory:
        await indexed(memory, 3)


async def test_an_embedder_that_changes_its_width_but_not_its_id_is_refused(tmp_path: Path) -> None:
    said = list[str]()
    async with opened(tmp_path) as memory:
        await memory.remember(told("made by one"))
        await indexed(memory, 1)
    liar = Narrow()
    liar.id = Fake().id
    async with opened(tmp_path, embedder=liar, said=said) as memory:
        found = await memory.recall("made")
        assert (found.by, situations(found)) == ("words", ["made by one"])
        assert said == ["memory-embedder-changed"]


async def test_a_recall_that_is_cancelled_leaves_the_memory_usable(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:
        for at in range(20):
            await memory.remember(told(f"case {at} was closed"))
        await indexed(memory, 20)
        for turns in range(30):
            async with anyio.create_task_group() as tasks:
                for at in range(4):
                    tasks.start_soon(memory.recall, f"case {at} {turns}")
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
        with anyio.fail_after(10):
            assert situations(await memory.recall("case 7 closed"))[0] == "case 7 was closed"


async def test_recalls_go_on_while_much_is_remembered(tmp_path: Path) -> None:
    async with opened(tmp_path) as memory:

        async def remember(start: int) -> None:
            for at in range(start, start + 100):
                await memory.remember(told(f"event {at} of kind k{at % 7}"))

        async def recall() -> None:
            for at in range(40):
                found = await memory.recall(f"event {at}", message=f"m{at}")
                assert found.episodes == sorted(found.episodes, key=lambda each: -each.score)

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for start in range(0, 500, 100):
                    tasks.start_soon(remember, start)
                tasks.start_soon(recall)
                tasks.start_soon(recall)
        await indexed(memory, 500)


@pytest.mark.parametrize("turns", range(0, 40, 2))
async def test_what_was_stored_when_the_work_was_cut_off_is_added_later(tmp_path: Path, turns: int) -> None:
    embedder = Fake()
    embedder.away = True
    async with opened(tmp_path, embedder=embedder) as memory:
        for at in range(3):
            await memory.remember(told(f"case {at}"))
        await until(lambda: bool(memory.indexer.trouble))
        embedder.away = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(memory.indexer.keep_up)
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
        memory.indexer.wake()
        await indexed(memory, 3)
