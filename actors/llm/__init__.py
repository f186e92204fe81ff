"""Models behind an API: the only room that imports ``openai``, and that at the first call.

It promises: each call ends within its own time; each try is bounded, paid for and in the ledger; no money is spent that
was not reserved; a key is in no setting, no text and no error; and what a model answers is checked before anybody
trusts it. Each cell imports the settings and the errors; the rest only when somebody asks a model.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .config import LOCAL, LOCAL_WEIGHTS, LlmConfig, settle_llm
from .errors import (
    AnswerCut,
    BadAnswer,
    BadLlm,
    BadModelKey,
    BadModelRequest,
    BadPrompt,
    BudgetSpent,
    CallTooLarge,
    ContextTooLong,
    ModelBusy,
    ModelDown,
    ModelFailed,
    ModelStalled,
    NoModelAllowed,
    NoModels,
    OfficeAway,
    UnknownModelName,
    WrongAnswer,
)
from .key import read_key
from .tables import BudgetTable, EndpointTable, LlmTable, ModelTable, PriceTable
from .url import is_here

if TYPE_CHECKING:
    from .door.client import ModelClient
    from .embeddings import EndpointEmbedder
    from .llm import Llm
    from .minds import Minds
    from .options import Options
    from .prompts.prefix import prefix_faults
    from .prompts.prompt import Prompt
    from .prompts.prompt_file import read_prompt
    from .purse.money import NANO, cost_of, in_dollars
    from .reply import Usage
    from .request import ToolCall
    from .scripted import ScriptedModel
    from .tools import Tool, tool

_HOME = {
    "EndpointEmbedder": "embeddings", "Llm": "llm", "Minds": "minds", "ModelClient": "door.client",
    "NANO": "purse.money", "Options": "options", "Prompt": "prompts.prompt", "ScriptedModel": "scripted",
    "Tool": "tools", "ToolCall": "request", "Usage": "reply", "cost_of": "purse.money", "in_dollars": "purse.money",
    "prefix_faults": "prompts.prefix", "read_prompt": "prompts.prompt_file", "tool": "tools",
}  # fmt: skip

__all__ = [
    "LOCAL",
    "LOCAL_WEIGHTS",
    "NANO",
    "AnswerCut",
    "BadAnswer",
    "BadLlm",
    "BadModelKey",
    "BadModelRequest",
    "BadPrompt",
    "BudgetSpent",
    "BudgetTable",
    "CallTooLarge",
    "ContextTooLong",
    "EndpointEmbedder",
    "EndpointTable",
    "Llm",
    "LlmConfig",
    "LlmTable",
    "Minds",
    "ModelBusy",
    "ModelClient",
    "ModelDown",
    "ModelFailed",
    "ModelStalled",
    "ModelTable",
    "NoModelAllowed",
    "NoModels",
    "OfficeAway",
    "Options",
    "PriceTable",
    "Prompt",
    "ScriptedModel",
    "Tool",
    "ToolCall",
    "UnknownModelName",
    "Usage",
    "WrongAnswer",
    "cost_of",
    "in_dollars",
    "is_here",
    "prefix_faults",
    "read_key",
    "read_prompt",
    "settle_llm",
    "tool",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
