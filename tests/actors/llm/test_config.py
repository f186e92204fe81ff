"""The tables about models: short forms, the model in the box, and a complaint with its key for all that cannot be."""

import pytest

from callboard import BudgetTable, EndpointTable, LlmTable, ModelTable, PriceTable, settle_llm
from callboard.actors.llm import BadLlm, LlmConfig

URL = "https://models.example.org/v1"
FAR = EndpointTable(name="far", url=URL)
GOOD = ModelTable(name="good", endpoint="far")
PLAIN = EndpointTable(name="far", url="http://far.example/v1", key_env="K")
DAY = BudgetTable(dollars=1.0, per="day")
TWO_KEYS = EndpointTable(name="far", url=URL, key_file="k", key_env="K")


def test_two_lines_are_an_endpoint_with_a_model() -> None:
    config = settle_llm(LlmTable(url=URL, model="some-model"))
    assert config.default == "some-model"
    assert config.model("") == ModelTable(name="some-model")
    assert config.endpoint("default").url == URL


def test_without_anything_there_is_nobody_to_ask() -> None:
    assert not settle_llm(LlmTable()).on
    assert not LlmConfig().on


def test_the_model_in_the_box_costs_nothing_and_may_see_what_is_sensitive() -> None:
    config = settle_llm(LlmTable(local=True))
    assert config.default == "smollm2"
    assert config.endpoint("local").sensitive
    assert config.models[0].price is not None


def test_it_stands_beside_others_which_come_first() -> None:
    assert [m.name for m in settle_llm(LlmTable(local=True), [FAR], [GOOD]).models] == ["good", "smollm2"]


@pytest.mark.parametrize(
    ("llm", "endpoints", "models", "budgets", "key"),
    [
        (LlmTable(url=URL), [], [], [], "llm.url"),
        (LlmTable(key_file="k"), [FAR], [GOOD], [], "llm.key_file"),
        (LlmTable(default="dear"), [FAR], [GOOD], [], "llm.default"),
        (LlmTable(), [FAR], [], [], "llm"),
        (LlmTable(), [], [], [BudgetTable(dollars=1.0, per="day")], "llm"),
        (LlmTable(url="ftp://x", model="m"), [], [], [], "llm.url"),
        (LlmTable(), [PLAIN], [GOOD], [], "endpoint[0].url"),
        (LlmTable(), [EndpointTable(name="far", url="https://a:b@far.example/v1")], [GOOD], [], "endpoint[0].url"),
        (LlmTable(), [EndpointTable(name="local", url=URL)], [ModelTable(name="m", endpoint="local")], [],
         "endpoint[0].name"),
        (LlmTable(url=URL, model="m"), [EndpointTable(name="Far", url=URL)], [], [], "endpoint[0].name"),
        (LlmTable(), [FAR, FAR], [GOOD], [], "endpoint[1].name"),
        (LlmTable(), [FAR], [GOOD, GOOD], [], "model[1].name"),
        (LlmTable(), [TWO_KEYS], [GOOD], [], "endpoint[0].key_env"),
        (LlmTable(), [EndpointTable(name="far", url=URL, key_env="sk-123")], [GOOD], [], "endpoint[0].key_env"),
        (LlmTable(), [FAR], [ModelTable(name="good", endpoint="near")], [], "model[0].endpoint"),
        (LlmTable(), [FAR], [ModelTable(name="good", endpoint="far", cheaper="good")], [], "model[0].cheaper"),
        (LlmTable(), [FAR], [ModelTable(name="good", endpoint="far", fallback=("x",))], [], "model[0].fallback"),
        (LlmTable(), [FAR], [ModelTable(name="good", endpoint="far", send={"n": 5})], [], "model[0].send"),
        (LlmTable(), [FAR], [GOOD], [BudgetTable(dollars=1.0)], "budget[0].per"),
        (LlmTable(), [FAR], [GOOD], [BudgetTable(dollars=1.0, scope="tree", per="day")], "budget[0].per"),
        (LlmTable(), [FAR], [GOOD], [BudgetTable(dollars=1.0, per="day", actor="x")], "budget[0].actor"),
        (LlmTable(), [FAR], [GOOD], [BudgetTable(dollars=1.0, scope="actor", per="day", actor="x")], "budget[0].actor"),
        (LlmTable(), [FAR], [GOOD], [BudgetTable(dollars=1.0, scope="call", queue=0.5)], "budget[0].queue"),
        (LlmTable(), [FAR], [GOOD], [DAY, DAY], "budget[1].scope"),
        (LlmTable(price=PriceTable(input=1.0, output=1.0)), [FAR], [GOOD], [], "llm.price"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_key(
    llm: LlmTable, endpoints: list[EndpointTable], models: list[ModelTable], budgets: list[BudgetTable], key: str
) -> None:
    with pytest.raises(BadLlm) as caught:
        settle_llm(llm, endpoints, models, budgets, actors=["desk"])
    assert caught.value.detail["key"] == key
