"""autogen-core: agents in its single-threaded runtime. It has no tell: a note is awaited until it is handled."""

import asyncio
from dataclasses import dataclass

from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler
from talk import IN_FLIGHT, TEXT, serve_async


@dataclass
class Note:
    """Told."""

    number: int
    text: str


@dataclass
class Question:
    """Asked."""

    number: int
    text: str


@dataclass
class Answer:
    """The answer to Question."""

    number: int
    text: str


class Receiver(RoutedAgent):
    """Counts notes and answers questions."""

    handled = 0

    def __init__(self) -> None:
        super().__init__("receiver")

    @message_handler
    async def note(self, message: Note, ctx: MessageContext) -> None:  # noqa: ARG002 - as their router wants it
        """Count a note."""
        Receiver.handled += 1

    @message_handler
    async def question(self, message: Question, ctx: MessageContext) -> Answer:  # noqa: ARG002 - the same
        """Answer with the next number."""
        return Answer(message.number + 1, message.text)


async def main() -> None:
    """Run the runtime, and do what comes."""
    runtime = SingleThreadedAgentRuntime()
    await Receiver.register(runtime, "receiver", Receiver)
    runtime.start()
    receiver = AgentId("receiver", "default")

    async def all_of(count: int, one: "type[Note] | type[Question]") -> int:
        numbers, right = iter(range(count)), 0

        async def keep_asking() -> None:
            nonlocal right
            for number in numbers:
                answer = await runtime.send_message(one(number, TEXT), receiver)
                right += one is Note or answer.number == number + 1

        await asyncio.gather(*(keep_asking() for _ in range(IN_FLIGHT)))
        return right

    async def tell(count: int) -> int:
        await all_of(count, Note)
        handled, Receiver.handled = Receiver.handled, 0
        return handled

    async def ask(count: int) -> int:
        return await all_of(count, Question)

    await serve_async(tell, ask)
    await runtime.stop()


if __name__ == "__main__":
    asyncio.run(main())
