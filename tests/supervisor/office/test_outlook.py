"""What ``callboard check`` says of money before anything runs, and from when ``callboard cost`` counts."""

from datetime import UTC, datetime

import click
import pytest

from callboard import BudgetTable, EndpointTable, LlmConfig, LlmTable, ModelTable, PriceTable, settle_llm
from callboard.supervisor.cli.cost import Since
from callboard.supervisor.office.outlook import outlook_of

HERE = EndpointTable(name="here", url="http://127.0.0.1:1/v1")
UNPRICED = "; nobody knows its price, so it counts as the dearest there is: give it one"


def test_each_model_has_its_price_and_each_budget_says_for_how_many_requests_it_is_enough() -> None:
    config = settle_llm(
        LlmTable(default="known"),
        [HERE],
        [
            ModelTable(name="known", endpoint="here", price=PriceTable(input=1.0, output=2.0)),
            ModelTable(name="unheard-of", endpoint="here"),
        ],
        [BudgetTable(dollars=20.0, per="day"), BudgetTable(dollars=0.5, scope="actor", per="hour")],
    )
    assert outlook_of(config) == [
        "model known at here: $1.00 for a million tokens read, $2.00 written",
        f"model unheard-of at here: $150.00 for a million tokens read, $600.00 written{UNPRICED}",
        "the fleet's budget for the day: $20.00, 26 requests to the dearest, 1,000 tokens in and 1,024 out",
        "the budget of each actor for the hour: $0.50, 0 requests to the dearest, 1,000 tokens in and 1,024 out",
    ]


def test_a_fleet_that_asks_no_model_has_nothing_to_say_of_money() -> None:
    assert outlook_of(LlmConfig()) == []


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-29", datetime(2026, 11, 29, tzinfo=UTC)),
        ("2026-11-29T23:00+05:00", datetime(2026, 11, 29, 18, tzinfo=UTC)),
        ("2026-11-29T23:00", datetime(2026, 11, 29, 23, tzinfo=UTC)),
    ],
)
def test_a_date_is_in_utc_unless_it_says_otherwise(text: str, moment: datetime) -> None:
    assert Since().convert(text, None, None) == moment.timestamp()


def test_what_is_no_time_is_refused_with_what_is() -> None:
    with pytest.raises(click.BadParameter, match="write 90m"):
        Since().convert("yesterday", None, None)
