"""What can go wrong on the way to a model and back, by whose fault it is.

No text here holds a key: what an endpoint says goes through :func:`~.door.said.said` first.
"""

from callboard.errors import CallerError, PeerError, WorldError

from .reply import Reply


class BadLlm(CallerError):
    """The tables about models do not fit together; ``key`` says where."""


class NoModels(CallerError):
    """This fleet has no ``[llm]``: there is nobody to ask."""


class BadModelKey(CallerError):
    """The key for a model's API is not where the settings say, others can read it, or the endpoint refuses it."""


class UnknownModelName(CallerError):
    """No model of this name is in the fleet file, or the endpoint does not know it."""


class NoModelAllowed(CallerError):
    """What is asked is sensitive, and no model that may see such is set up."""


class BadModelRequest(CallerError):
    """The endpoint refuses the request itself: the same one would be refused again."""


class ContextTooLong(CallerError):
    """The prompt is longer than the model takes."""


class CallTooLarge(CallerError):
    """One call is larger than its budget, or than what the rate limit lets through at once."""


class BadPrompt(CallerError):
    """A prompt file cannot be read, or was not given the inputs that it declares."""


class BudgetSpent(WorldError):
    """A budget is used up; ``wait`` says in how many seconds its window ends, if it has one."""

    @property
    def wait(self) -> float:
        """Seconds until the window ends; 0.0 if it has none."""
        return float(self.detail.get("wait") or 0.0)


class OfficeAway(WorldError):
    """The office, which keeps budgets, did not answer in time."""


class ModelFailed(WorldError):
    """Base: the endpoint could not answer now. Nothing of it is the fault of who asks."""


class ModelBusy(ModelFailed):
    """The endpoint wants us to wait (429); ``wait`` says for how many seconds, 0.0 if it did not say."""

    @property
    def wait(self) -> float:
        """Seconds that the endpoint wants us to rest."""
        return float(self.detail.get("wait") or 0.0)


class ModelDown(ModelFailed):
    """Nobody listens there, the connection broke, or the endpoint says that it failed itself (5xx)."""


class ModelStalled(ModelFailed):
    """The endpoint did not answer within the time of the call, or a stream gave nothing for too long."""


class BadAnswer(PeerError):
    """What came is no answer: HTML, garbage, no choice in it, too much of it, or a refusal."""

    reply: Reply | None = None
    """What could be read of it, with its usage if that came; None also where the error came over the wire."""


class AnswerCut(BadAnswer):
    """The answer was cut off at its limit of tokens."""


class WrongAnswer(PeerError):
    """The answer does not fit the type that was asked for, also after a repair; ``raw`` has its beginning."""

    @property
    def raw(self) -> str:
        """What the model said, cut to 4,000 characters; the ledger has more of it."""
        return str(self.detail.get("raw") or "")
