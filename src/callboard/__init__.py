"""Callboard: a supervised actor runtime for production AI agents.

The names below are the public ones. They are loaded on first use (docs/adr/0001-layout.md says why).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from callboard.actors import Actor as Actor
    from callboard.actors import ActorSpec as ActorSpec
    from callboard.actors import ActorStopped as ActorStopped
    from callboard.actors import ActUnsettled as ActUnsettled
    from callboard.actors import BadActor as BadActor
    from callboard.actors import Context as Context
    from callboard.actors import Down as Down
    from callboard.actors import DuplicateStep as DuplicateStep
    from callboard.actors import Grant as Grant
    from callboard.actors import HandlerFailed as HandlerFailed
    from callboard.actors import Json as Json
    from callboard.actors import Message as Message
    from callboard.actors import NotDone as NotDone
    from callboard.actors import OutcomeUnheard as OutcomeUnheard
    from callboard.actors import PermissionDenied as PermissionDenied
    from callboard.actors import Poisonous as Poisonous
    from callboard.actors import Stalled as Stalled
    from callboard.actors import StepsChanged as StepsChanged
    from callboard.actors import TaskExpired as TaskExpired
    from callboard.actors import Untrusted as Untrusted
    from callboard.actors import receive as receive
    from callboard.actors.llm import BadAnswer as BadAnswer
    from callboard.actors.llm import BadModelRequest as BadModelRequest
    from callboard.actors.llm import BudgetSpent as BudgetSpent
    from callboard.actors.llm import BudgetTable as BudgetTable
    from callboard.actors.llm import CallTooLarge as CallTooLarge
    from callboard.actors.llm import EndpointTable as EndpointTable
    from callboard.actors.llm import LlmConfig as LlmConfig
    from callboard.actors.llm import LlmTable as LlmTable
    from callboard.actors.llm import ModelFailed as ModelFailed
    from callboard.actors.llm import ModelTable as ModelTable
    from callboard.actors.llm import NoModels as NoModels
    from callboard.actors.llm import OfficeAway as OfficeAway
    from callboard.actors.llm import PriceTable as PriceTable
    from callboard.actors.llm import Prompt as Prompt
    from callboard.actors.llm import WrongAnswer as WrongAnswer
    from callboard.actors.llm import read_prompt as read_prompt
    from callboard.actors.llm import settle_llm as settle_llm
    from callboard.actors.llm import tool as tool
    from callboard.bus import ActorDied as ActorDied
    from callboard.bus import DeadlineExceeded as DeadlineExceeded
    from callboard.bus import Held as Held
    from callboard.bus import MailboxFull as MailboxFull
    from callboard.bus import MessageRefused as MessageRefused
    from callboard.bus import MessageTooLarge as MessageTooLarge
    from callboard.bus import NoSuchActor as NoSuchActor
    from callboard.bus import NotStored as NotStored
    from callboard.bus import QueueFull as QueueFull
    from callboard.store import Episode as Episode
    from callboard.store import InvalidEpisode as InvalidEpisode
    from callboard.store import Recalled as Recalled
    from callboard.store import Recollection as Recollection
    from callboard.supervisor import Client as Client
    from callboard.supervisor import Fleet as Fleet

    from .errors import CallboardError as CallboardError

_HOME = {
    "callboard.actors": (
        "Actor", "ActorSpec", "ActorStopped", "BadActor", "Context", "Down", "Grant", "HandlerFailed", "Json",
        "Message", "PermissionDenied", "Poisonous", "Stalled", "Untrusted", "receive",
        "ActUnsettled", "DuplicateStep", "NotDone", "OutcomeUnheard", "StepsChanged", "TaskExpired",
    ),
    "callboard.actors.llm": (
        "BadAnswer", "BadModelRequest", "BudgetSpent", "BudgetTable", "CallTooLarge", "EndpointTable", "LlmConfig",
        "LlmTable", "ModelFailed", "ModelTable", "NoModels", "OfficeAway", "PriceTable", "Prompt", "WrongAnswer",
        "read_prompt", "settle_llm", "tool",
    ),
    "callboard.bus": (
        "ActorDied", "DeadlineExceeded", "Held", "MailboxFull", "MessageRefused", "MessageTooLarge", "NoSuchActor",
        "NotStored", "QueueFull",
    ),
    "callboard.store": ("Episode", "InvalidEpisode", "Recalled", "Recollection"),
    "callboard.supervisor": ("Client", "Fleet"),
    "callboard.errors": ("CallboardError",),
}  # fmt: skip
_ROOM = {name: room for room, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _ROOM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ROOM[name]), name)
