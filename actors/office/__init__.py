"""What cells and the office say to each other. Money is whole nano-dollars, a price pico-dollars for each token.

The office itself is of the supervisor's room; who asks it needs no more than this.
"""

from .answers import KEY_BEGINS, Answered, AnswersForgotten, AskAnswer, ForgetAnswers, Judge, Judged
from .money import Money, TakeMoney
from .price import Price
from .rate import BURST_TOKENS, Pressed, Rate, TakeRate
from .report import Report, Reported
from .terms import AskTerms, Terms

__all__ = [
    "BURST_TOKENS",
    "KEY_BEGINS",
    "Answered",
    "AnswersForgotten",
    "AskAnswer",
    "AskTerms",
    "ForgetAnswers",
    "Judge",
    "Judged",
    "Money",
    "Pressed",
    "Price",
    "Rate",
    "Report",
    "Reported",
    "TakeMoney",
    "TakeRate",
    "Terms",
]
