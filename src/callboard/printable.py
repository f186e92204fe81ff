"""Text that can be written anywhere: into a log, a message, a database.

Python keeps bytes that are not UTF-8 as lone surrogates, in file names above all. Such text comes with exceptions and
cannot be encoded; the event that tells of a failure must not fail for it.
"""


def printable(text: str) -> str:
    """Return `text` with what cannot be encoded shown as an escape."""
    if text.isascii():
        return text
    return text.encode(errors="backslashreplace").decode()
