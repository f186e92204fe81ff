"""What a model costs."""

from typing import Annotated

import msgspec

Amount = Annotated[int, msgspec.Meta(ge=0)]
"""Whole nano-dollars, or pico-dollars where it is a price."""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Of one token, in pico-dollars (a millionth of a dollar for a million tokens)."""

    input: Amount
    output: Amount
    cached: Amount
