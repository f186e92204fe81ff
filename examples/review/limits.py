"""How much of a repository is read, and how much is said about it.

A limit that was met is always said in the report: as a note, or as a total beside what is listed.
"""

from typing import Final

import msgspec

KIB: Final = 1024
MIB: Final = 1024 * KIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one survey. Sizes are bytes."""

    file: int = 1 * MIB
    total: int = 200 * MIB
    files: int = 20_000
    path: int = 500
    page_files: int = 2_000
    page_bytes: int = 600 * KIB
    """Of the paths on one page; a page must fit into one message."""


LIMITS: Final = Limits()

BATCH_FILES: Final = 48
BATCH_BYTES: Final = 1 * MIB

FINDINGS_LISTED: Final = 2_000
FILES_LISTED: Final = 1_000
FINDINGS_IN_TEXT: Final = 200
TEXT_LENGTH: Final = 300
REPORT_BYTES: Final = 880 * KIB
"""Of the whole report as JSON; the message limit is 1 MiB, envelope included."""
INSPECTION_BYTES: Final = 700 * KIB

LISTING_BYTES: Final = 64 * MIB
"""Most output taken from a git command that lists names."""
