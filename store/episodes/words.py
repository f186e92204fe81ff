"""From a query in plain words to what FTS5 is asked."""

import re
from typing import Final

TERMS_MOST: Final = 32
QUERY_MOST: Final = 2000
"""Characters of a query that are looked at."""
_TERM: Final = re.compile(r"\w+")
STOP: Final = frozenset(
    """
    a an and are as at be been but by did do does for from had has have he her him his how i if in into is it its me
    my of on or our she so than that the their them then they this to was we were what when where which who whom why
    will with would you your
    """.split()  # noqa: SIM905 - a list would have as many lines as words
)


def terms_of(query: str) -> list[str]:
    """Return the words of a query, each once; frequent English ones are left out unless there are no others."""
    terms = list(dict.fromkeys(_TERM.findall(query[:QUERY_MOST].lower())))
    return ([term for term in terms if term not in STOP] or terms)[:TERMS_MOST]


def any_of(terms: list[str]) -> str:
    """Return the FTS5 expression that matches any of these words, each quoted, so that none is an operator."""
    return " OR ".join(f'"{term}"' for term in terms)


def length_of(text: str) -> int:
    """Return how many words a text has."""
    return sum(1 for _ in _TERM.finditer(text))
