"""From a query in plain words to what FTS5 is asked."""

import re
from typing import Final

TERMS_MOST: Final = 32
QUERY_MOST: Final = 2000
"""Characters of a query that are looked at."""
_TERM: Final = re.compile(r"\w+")
STOP: Final = frozenset(
    """
    a about after again all am an and any are as at be been before being but by can could did do does doing down for
    from had has have having he her here hers him his how i if in into is it its just me more most my no nor not now
    of off on once only or other our out over own s same she should so some such t than that the their them then
    there these they this those through to too under until up very was we were what when where which while who whom
    why will with would you your
    """.split()  # noqa: SIM905 - a list of 130 words is 130 lines
)


def match_of(query: str) -> str:
    """Return the query as an FTS5 expression: any of its words, each quoted, so that none is an operator.

    Frequent words are left out unless there are no others; empty if there is no word at all.
    """
    terms = list(dict.fromkeys(term.lower() for term in _TERM.findall(query[:QUERY_MOST])))
    telling = [term for term in terms if term not in STOP] or terms
    return " OR ".join(f'"{term}"' for term in telling[:TERMS_MOST])
