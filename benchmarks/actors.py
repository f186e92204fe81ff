"""Our receiver. At the top of a module, so that a cell of its own can import it."""

from callboard import Actor, Context, receive

from .messages import Answer, Count, Note, Question, Tally


class Receiver(Actor):
    """Counts notes and answers questions; all defaults."""

    def __init__(self) -> None:
        self.handled = 0

    @receive
    async def note(self, _note: Note, _ctx: Context) -> None:
        """Count a note."""
        self.handled += 1

    @receive
    async def count(self, _count: Count, _ctx: Context) -> Tally:
        """Say how many notes there were, and begin again."""
        tally, self.handled = Tally(handled=self.handled), 0
        return tally

    @receive
    async def question(self, question: Question, _ctx: Context) -> Answer:
        """Answer with the next number."""
        return Answer(number=question.number + 1, text=question.text)
