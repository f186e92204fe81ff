"""What a call can cost at worst, and what it did cost. Pure; whole nano-dollars, rounded up."""

from typing import Final

import msgspec

from ...office import Price
from ..reply import Usage
from ..request import Request

PER_TURN: Final = 16
PER_CALL: Final = 64
"""Tokens that an endpoint may add for each turn, and for a call: roles, separators, its own instructions."""
NANO: Final = 1_000_000_000
_PICO_IN_NANO: Final = 1_000
BYTES_A_TOKEN: Final = 3.5
"""Of English text and JSON; a guess, for rates alone."""


def size_of(request: Request) -> int:
    """Return the bytes that a model is given to read."""
    texts = sum(len(turn.content.encode(errors="replace")) for turn in request.turns)
    calls = sum(
        len(call.arguments.encode(errors="replace")) + len(call.name) for t in request.turns for call in t.calls
    )
    forms = len(msgspec.json.encode((request.form, request.tools))) if request.form or request.tools else 0
    return texts + calls + forms


def most_tokens(request: Request) -> int:
    """Return a bound of the tokens of a prompt: no tokenizer makes more of a text than it has bytes."""
    return size_of(request) + PER_TURN * len(request.turns) + PER_CALL


def likely_tokens(request: Request) -> int:
    """Return a guess of the tokens of a whole call, answer included."""
    return int(size_of(request) / BYTES_A_TOKEN) + PER_TURN * len(request.turns) + request.most


def worst_cost(request: Request, price: Price) -> int:
    """Return what a call costs at most."""
    return _nano(most_tokens(request) * max(price.input, price.cached) + request.most * price.output)


def cost_of(usage: Usage, price: Price) -> int:
    """Return what a call with this usage costs; cached tokens are a part of the input."""
    cached = max(0, min(usage.cached, usage.input))
    fresh = max(0, usage.input - cached)
    return _nano(fresh * price.input + cached * price.cached + max(0, usage.output) * price.output)


def is_plausible(usage: Usage, request: Request) -> bool:
    """Return whether what an endpoint says of a call can be so: templates and tools may add some, not tenfold."""
    return usage.input <= 10 * (most_tokens(request) + 1_000) and usage.output <= 10 * (request.most + 100)


def dollars(nano: int) -> float:
    """Return an amount in dollars, for people."""
    return nano / NANO


def in_dollars(nano: int) -> str:
    """Return an amount with as many places as it needs to be seen."""
    amount = dollars(nano)
    if abs(amount) >= 100.0 or not nano % (NANO // 100):
        return f"${amount:,.2f}"
    return f"${amount:.6f}" if abs(amount) < 0.01 else f"${amount:.4f}"


def _nano(pico: int) -> int:
    return -(-pico // _PICO_IN_NANO)
