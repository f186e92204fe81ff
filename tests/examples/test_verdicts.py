"""What people said of findings decides their order, and nothing else does."""

from examples.review.finding import Finding, Severity, rank
from examples.review.verdicts import Verdicts, kind_of, note_of, rank_by


def finding(rule: str, severity: Severity = "low", path: str = "a.py") -> Finding:
    return Finding(path=path, line=1, severity=severity, tool="ruff", rule=rule, text="")


FOUND = [finding("F401"), finding("E501", "high"), finding("F821"), finding("B101", "medium")]


def order(verdicts: Verdicts) -> list[str]:
    return [each.rule for each in sorted(FOUND, key=lambda each: rank_by(verdicts, each, "shop"))]


def test_without_a_verdict_the_order_is_the_usual_one() -> None:
    assert order(Verdicts()) == [each.rule for each in sorted(FOUND, key=rank)]


def test_what_was_dismissed_comes_last_however_severe() -> None:
    assert order(Verdicts(dismissed={"shop/ruff/E501": ""})) == ["B101", "F401", "F821", "E501"]


def test_what_was_accepted_comes_first_of_its_severity_and_not_before_what_is_worse() -> None:
    assert order(Verdicts(accepted=frozenset({"shop/ruff/F821"}))) == ["E501", "B101", "F821", "F401"]


def test_a_verdict_of_another_repository_moves_nothing() -> None:
    assert order(Verdicts(dismissed={"bank/ruff/E501": ""})) == order(Verdicts())


def test_a_name_of_a_kind_is_never_longer_than_an_outcome_can_name() -> None:
    assert len(kind_of(finding("F401"), "r" * 500)) == 200


def test_a_report_says_what_was_dismissed_and_why() -> None:
    dismissed = {"shop/ruff/F401": "we mean it", "shop/ruff/E501": ""}
    assert note_of(Verdicts(dismissed=dismissed)) == (
        "dismissed before, and so last: shop/ruff/E501, shop/ruff/F401 (we mean it)",
    )
    assert note_of(Verdicts()) == ()
