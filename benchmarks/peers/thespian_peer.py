"""Thespian in its system base that runs all actors in the calling process, one message after the other."""

from typing import Any

from talk import TEXT, Answer, Count, Note, Question, serve
from thespian.actors import Actor, ActorSystem


class Receiver(Actor):
    """Counts notes and answers questions."""

    handled = 0

    def receiveMessage(self, message: Any, sender: Any) -> None:  # noqa: N802 - their name
        """Tell the messages apart."""
        if isinstance(message, Note):
            self.handled += 1
        elif isinstance(message, Question):
            self.send(sender, Answer(message.number + 1, message.text))
        elif isinstance(message, Count):
            self.send(sender, self.handled)
            self.handled = 0


system = ActorSystem("simpleSystemBase")
receiver = system.createActor(Receiver)


def tell(count: int) -> int:
    """Send notes, and ask behind them."""
    for number in range(count):
        system.tell(receiver, Note(number, TEXT))
    handled: int = system.ask(receiver, Count(), 10.0)
    return handled


def ask(count: int) -> int:
    """Ask questions; its ``ask`` has one open at a time."""
    return sum(system.ask(receiver, Question(number, TEXT), 10.0).number == number + 1 for number in range(count))


if __name__ == "__main__":
    try:
        serve(tell, ask)
    finally:
        system.shutdown()
