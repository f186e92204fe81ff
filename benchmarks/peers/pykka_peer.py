"""pykka: an actor is a thread with a queue, a message any object."""

from collections import deque
from typing import Any

import pykka
from talk import IN_FLIGHT, TEXT, Answer, Count, Note, Question, serve


class Receiver(pykka.ThreadingActor):
    """Counts notes and answers questions."""

    def __init__(self) -> None:
        super().__init__()
        self.handled = 0

    def on_receive(self, message: Any) -> Any:
        """Tell the messages apart."""
        if isinstance(message, Note):
            self.handled += 1
            return None
        if isinstance(message, Question):
            return Answer(message.number + 1, message.text)
        handled, self.handled = self.handled, 0
        return handled


receiver = Receiver.start()


def tell(count: int) -> int:
    """Send notes, and ask behind them."""
    for number in range(count):
        receiver.tell(Note(number, TEXT))
    handled: int = receiver.ask(Count())
    return handled


def ask(count: int) -> int:
    """Ask questions, 64 of them open at any time."""
    right, waiting = 0, deque[tuple[int, Any]]()
    for number in range(count):
        if len(waiting) == IN_FLIGHT:
            asked, future = waiting.popleft()
            right += future.get().number == asked + 1
        waiting.append((number, receiver.ask(Question(number, TEXT), block=False)))
    return right + sum(future.get().number == asked + 1 for asked, future in waiting)


if __name__ == "__main__":
    try:
        serve(tell, ask)
    finally:
        receiver.stop()
