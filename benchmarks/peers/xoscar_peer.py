"""xoscar: actors of one pool, called by methods; ``tell`` is a call whose result nobody waits for."""

import asyncio

import xoscar
from talk import IN_FLIGHT, TEXT, serve_async


class Receiver(xoscar.Actor):
    """Counts notes and answers questions."""

    def __init__(self) -> None:
        super().__init__()
        self.handled = 0

    async def note(self, number: int, text: str) -> None:  # noqa: ARG002 - as all sides have it
        """Count a note."""
        self.handled += 1

    async def count(self) -> int:
        """Say how many notes there were, and begin again."""
        handled, self.handled = self.handled, 0
        return handled

    async def question(self, number: int, text: str) -> tuple[int, str]:
        """Answer with the next number."""
        return number + 1, text


async def main() -> None:
    """Run a pool of one process, and do what comes."""
    pool = await xoscar.create_actor_pool("127.0.0.1:0", n_process=0)
    receiver = await xoscar.create_actor(Receiver, address=pool.external_address)

    async def tell(count: int) -> int:
        for number in range(count):
            await receiver.note.tell(number, TEXT)
        handled = 0
        while handled < count:  # tells may be overtaken by calls
            handled += await receiver.count()
            await asyncio.sleep(0)
        return handled

    async def ask(count: int) -> int:
        numbers, right = iter(range(count)), 0

        async def keep_asking() -> None:
            nonlocal right
            for number in numbers:
                answer, _ = await receiver.question(number, TEXT)
                right += answer == number + 1

        await asyncio.gather(*(keep_asking() for _ in range(IN_FLIGHT)))
        return right

    async with pool:
        await serve_async(tell, ask)


if __name__ == "__main__":
    asyncio.run(main())
