"""What an actor is short of without being to blame: a model that is down, a budget that is spent or too small, a key.

Who asks is told so as it is; the actor goes on, and nothing of it counts against the actor or its message. Else one
endpoint that is down would have each agent that needs it restarted, and then held.
"""

from typing import TYPE_CHECKING, Final

from callboard.errors import CallboardError

from .llm import BadModelKey, BudgetSpent, CallTooLarge, ModelFailed, OfficeAway

if TYPE_CHECKING:
    from .host import Host
    from .letter import Letter

SHORTAGES: Final[tuple[type[CallboardError], ...]] = (
    BadModelKey, BudgetSpent, CallTooLarge, ModelFailed, OfficeAway,
)  # fmt: skip


def report_shortage(host: "Host", letter: "Letter", error: CallboardError) -> None:
    """Record what a message could not have, if it is a shortage: who told it, and did not ask, hears nothing."""
    if isinstance(error, SHORTAGES):
        host.last_error = type(error).__name__
        host.cell.report(
            "handler-short", host.name, error.text, id=letter.envelope.id, type=letter.envelope.type, code=error.code
        )
