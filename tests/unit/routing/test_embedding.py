"""The embedding backend with an embedder of two words a dimension: trained, written, read, refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from interlock.agents.embedding import EmbeddingTable, Model2VecEmbedder, train_embedded, unit_vectors
from interlock.agents.examples import Example
from interlock.contracts.canonical import canonical, sha256_hex
from interlock.contracts.errors import CallError, FlowError, SetupError
from interlock.contracts.flow import RouterSpec
from interlock.fsm.route import choose, evidence

WORDS = ("card", "plastic", "money", "cash", "send", "wire", "rain", "sun")


class Near:
    """Words that mean the same point the same way: what an embedding is for."""

    name = "near"
    size = 4

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return [
            [float(sum(text.split().count(word) for word in WORDS[2 * axis : 2 * axis + 2])) for axis in range(4)]
            for text in texts
        ]


class Renamed(Near):
    name = "far"


class Wrong(Near):
    size = 5


FILLERS = ("please", "now", "hello", "today", "quickly", "again")
EXAMPLES = [
    *(Example(f"{word} {filler}", frozenset({"card"})) for word in ("card", "card card") for filler in FILLERS),
    *(Example(f"send {word} {filler}", frozenset({"transfer"})) for word in ("money", "cash") for filler in FILLERS),
    *(Example(f"rain {filler}", frozenset(), outside=True) for filler in FILLERS),
]


@pytest.fixture(scope="module")
def artefact() -> bytes:
    return train_embedded(EXAMPLES, Near(), seed=1, folds=3).artefact


def test_words_never_seen_in_training_are_routed_by_what_they_mean(artefact: bytes):
    """`plastic` and `wire` stand in no example; the sun is as little ours as the rain."""
    table = EmbeddingTable.from_bytes(artefact, Near())
    assert table.score("plastic")[0][0][0] == "card"
    assert table.score("wire cash")[0][0][0] == "transfer"
    assert table.score("sun")[1] < table.score("plastic")[1]
    assert sum(score for _, score in table.score("")[0]) <= 1


def test_it_is_a_classifier_like_any_other(artefact: bytes):
    """A router takes it, and its digest stands in the evidence."""
    table = EmbeddingTable.from_bytes(artefact, Near(), sha256_hex(artefact))
    spec = RouterSpec(name="triage", labels={"card": "a card", "transfer": "a transfer"}, classifier=table.digest)
    taken = evidence(spec, "plastic", classifier=table)
    assert (choose(spec, taken).outcome, taken.artefact) == ("card", sha256_hex(artefact))


def test_training_twice_gives_the_same_bytes(artefact: bytes):
    """In whatever order the examples come."""
    assert train_embedded(reversed(EXAMPLES), Near(), seed=1, folds=3).artefact == artefact


def test_it_trains_without_scikit_learn(monkeypatch: pytest.MonkeyPatch):
    """The learner of the standard library takes over."""
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    trained = train_embedded(EXAMPLES, Near(), seed=1, folds=3)
    assert trained.report.backend == "the embedder near"
    assert EmbeddingTable.from_bytes(trained.artefact, Near()).score("plastic")[0][0][0] == "card"


def changed(artefact: bytes, **changes: Any) -> bytes:
    return canonical({**json.loads(artefact), **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "other"}, "is not an interlock-embedding-table/1 file: Input should be"),
        ({"labels": ["card", "card"]}, "its labels and columns do not fit together"),
        ({"intercepts": [1]}, "its labels and columns do not fit together"),
        ({"confidence": [1]}, "1 numbers of confidence"),
        ({"weights": "AAAA"}, "weights: 3 bytes, and 24 are needed"),
        ({"embedder": "far"}, "was trained with the embedder 'far' of 4 numbers, and this is 'near' of 4"),
    ],
)
def test_an_artefact_whose_parts_do_not_fit_is_refused(artefact: bytes, changes: dict[str, Any], said: str):
    """Each with what was found."""
    with pytest.raises(FlowError) as refused:
        EmbeddingTable.from_bytes(changed(artefact, **changes), Near())
    assert said in str(refused.value)


def test_another_embedder_or_another_file_is_refused(artefact: bytes, tmp_path: Path):
    """Vectors of another model would be nonsense, and say nothing of it."""
    with pytest.raises(FlowError, match=r"this is 'far' of 4.*Use the same model, or train again"):
        EmbeddingTable.from_bytes(artefact, Renamed())
    path = tmp_path / "router.json"
    path.write_bytes(artefact)
    assert EmbeddingTable.load(path, Near()).labels == ("card", "transfer")
    with pytest.raises(FlowError, match=r"has digest .*, and the flow names 000"):
        EmbeddingTable.load(path, Near(), "0" * 64)
    with pytest.raises(FlowError, match=r"cannot be read: No such file"):
        EmbeddingTable.load(tmp_path / "none.json", Near())


def test_an_embedder_that_breaks_its_word_is_said():
    """Vectors have the size it names."""
    with pytest.raises(CallError, match="The embedder 'near' gave 4 numbers, and says 5"):
        unit_vectors(Wrong(), ["card"])


def test_a_model_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """And the extra, where the library is missing; nothing is downloaded."""
    with pytest.raises(SetupError, match=r"There is no embedding model in .*none"):
        Model2VecEmbedder(tmp_path / "none")
    monkeypatch.setitem(__import__("sys").modules, "model2vec", None)
    with pytest.raises(SetupError, match=r"needs model2vec.*pip install 'interlock\[embedding\]'"):
        Model2VecEmbedder(tmp_path)


def test_a_model_of_model2vec_embeds(tmp_path: Path):
    """A model of four words, made here and read from its folder."""
    model2vec = pytest.importorskip("model2vec", reason="the extra `embedding` is not installed")
    tokenizers = pytest.importorskip("tokenizers")
    numpy = pytest.importorskip("numpy")
    vocabulary = {"[UNK]": 0, "[PAD]": 1, "card": 2, "money": 3}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model2vec.StaticModel(numpy.eye(4, dtype="float32"), tokenizer).save_pretrained(tmp_path / "tiny")
    embedder = Model2VecEmbedder(tmp_path / "tiny")
    assert (embedder.name, embedder.size) == ("tiny", 4)
    card, money = unit_vectors(embedder, ["card", "money"])
    assert card == pytest.approx([0, 0, 1, 0])
    assert money == pytest.approx([0, 0, 0, 1])
