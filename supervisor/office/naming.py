"""What budgets are called: by a key in the office's file, which never changes, and in words for people. Pure."""

from callboard.actors.llm import BudgetTable


def key_of(table: BudgetTable, *, actor: str, tree: str) -> str:
    """Return by what the file knows the windows of a budget."""
    if table.scope == "actor":
        return f"actor/{actor}/{table.per}"
    return f"tree/{tree}" if table.scope == "tree" else f"{table.scope}/{table.per}"


def in_words(key: str) -> str:
    """Return a key in words."""
    scope, _, rest = key.partition("/")
    if scope == "tree":
        return f"the budget of the task tree {rest}"
    whose, _, per = rest.rpartition("/")
    return f"the budget of {whose} for the {per}" if scope == "actor" else f"the fleet's budget for the {per}"
