"""How much of its episodes an actor keeps."""

from typing import Annotated

import msgspec


class Retention(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is kept."""

    most: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 200_000
    """Episodes; beyond that those of least worth go."""
    days: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Those that nobody has recalled with profit go after so many days; None: age alone is no reason."""
