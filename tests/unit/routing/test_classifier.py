"""The linear table: it equals what scikit-learn learned, is made the same twice, and refuses foreign files."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from interlock.agents.classifier import LinearTable, Scoring, letters_of, word_features, words_of
from interlock.agents.exporting import written
from interlock.agents.fitting import Fit, fit_plain
from interlock.agents.fitting_sklearn import fit_sklearn
from interlock.agents.training import train
from interlock.contracts.canonical import canonical, sha256_hex
from interlock.contracts.errors import CallError, FlowError, SetupError
from interlock.examples.bank.train_router import OUT_OF_SCOPE, utterances

ROWS = utterances()
OURS = [(text, label) for text, label in ROWS if label != OUT_OF_SCOPE]
OTHERS = [text for text, label in ROWS if label == OUT_OF_SCOPE]
SMALL = [row for row in OURS if row[1] in ("card", "transfer", "refund")]


@pytest.fixture(scope="module")
def small() -> bytes:
    return train(SMALL, seed=3, out_of_scope=OTHERS, folds=2).artefact


def changed(artefact: bytes, **changes: Any) -> bytes:
    return canonical({**json.loads(artefact), **changes})


def test_words_are_folded():
    """Case, digits and apostrophes are made one."""
    assert words_of("I DON\u2019T owe £1,250!") == ["i", "don't", "owe", "0", "000"]
    assert word_features("a b c") == ["a", "b", "c", "a b", "b c"]
    assert letters_of("at") == [" a", "at", "t ", " at", "at ", " at "]


@pytest.mark.parametrize("fit", [fit_sklearn, fit_plain])
@pytest.mark.parametrize("labels", [("card", "transfer", "refund", "dispute"), ("card", "transfer")])
def test_the_table_scores_as_what_was_fitted(fit: Fit, labels: tuple[str, ...]):
    """On every utterance: the same best label, and margins equal within the quantisation."""
    rows = [row for row in OURS if row[1] in labels]
    texts, truth = [text for text, _ in rows], [frozenset({label}) for _, label in rows]
    fitted = fit(texts, truth, sorted(labels), seed=3)
    scoring = Scoring(tuple(sorted(labels)), False, 4.0, (1.0, 0.0, 0.0), ())
    table = LinearTable.from_bytes(written(fitted, scoring))
    for text, theirs in zip(texts + OTHERS, fitted.margins(texts + OTHERS), strict=True):
        ours = table.margins(text)
        assert max(abs(one - other) for one, other in zip(ours, theirs, strict=True)) < 0.002, text
        best, second = sorted(theirs, reverse=True)[:2]
        assert best - second < 0.004 or ours.index(max(ours)) == theirs.index(best), text


def test_training_twice_gives_the_same_bytes(small: bytes):
    """In whatever order the examples come."""
    again = train(reversed(SMALL), seed=3, out_of_scope=reversed(OTHERS), folds=2)
    assert again.artefact == small
    assert again.digest == sha256_hex(small) == LinearTable.from_bytes(small).digest


def test_the_report_counts_what_it_was_measured_on(small: bytes):
    """Examples of each label, and figures that only held-out messages gave."""
    report = train(SMALL, seed=3, folds=2).report
    assert report.examples == len(SMALL)
    assert [label for label, _, _ in report.labels] == ["card", "refund", "transfer"]
    assert sum(count for _, count, _ in report.labels) == len(SMALL)
    assert 0.8 < report.accuracy < 1
    assert (report.out_of_scope, report.scope_auroc, report.scope_recall) == (0, None, None)


def test_nothing_a_person_wrote_is_kept(small: bytes):
    """The table remembers letter sequences of trained words only."""
    table = LinearTable.from_bytes(small)
    table.score("my card number zaphod9912 is lost")
    assert "zaphod0000" not in table._pieces
    assert "card" in table._pieces


def test_a_megabyte_is_scored(small: bytes):
    """Screening stops it first; should it get here, nothing breaks."""
    ranked, scope = LinearTable.from_bytes(small).score("card " * 200_000 + "x" * 100_000)
    assert ranked[0][0] == "card"
    assert 0 <= scope <= 1


# -- files that are refused


def test_a_missing_file_is_said(tmp_path: Path):
    """With its name."""
    with pytest.raises(FlowError, match=r"The classifier's artefact cannot be read: .*No such file.*router\.json"):
        LinearTable.load(tmp_path / "router.json")


def test_a_file_with_another_digest_is_refused(small: bytes, tmp_path: Path):
    """One changed byte is another classifier."""
    path = tmp_path / "router.json"
    path.write_bytes(small)
    assert LinearTable.load(path, sha256_hex(small)).digest == sha256_hex(small)
    path.write_bytes(small.replace(b'"outside":true', b'"outside":false'))
    with pytest.raises(FlowError, match=r"has digest .*, and the flow names .*Restore the file that the flow names"):
        LinearTable.load(path, sha256_hex(small))


def test_a_file_that_is_too_large_is_not_parsed(monkeypatch: pytest.MonkeyPatch, small: bytes):
    """The bound stands before the parser."""
    monkeypatch.setattr("interlock.agents.classifier.MAX_FILE_BYTES", len(small) - 1)
    with pytest.raises(FlowError, match=r"artefact is larger than \d+ bytes"):
        LinearTable.from_bytes(small)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not an interlock-linear-table/1 file: the file: Invalid JSON"),
        (b"\x80\x04K\x01.", "the file: Invalid JSON"),
        (b"[" * 100_000, "the file: Invalid JSON"),
        (b"[]", "the file: Input should be an object"),
        (b"{}", "format: Field required"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes, said: str):
    """Nothing, a pickle, a nest of brackets, another JSON."""
    with pytest.raises(FlowError) as refused:
        LinearTable.from_bytes(data)
    assert said in str(refused.value)
    assert "Fix: Train it again" in str(refused.value)


def block(features: str, idf: bytes, weights: bytes) -> dict[str, str]:
    return {"features": features, "idf": base64.b64encode(idf).decode(), "weights": base64.b64encode(weights).decode()}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "interlock-linear-table/2"}, "format: Input should be 'interlock-linear-table/1'"),
        ({"extra": 1}, "extra: Extra inputs are not permitted"),
        ({"labels": ["card"]}, "labels: Tuple should have at least 2 items"),
        ({"labels": ["card", "card", "refund"]}, "a label occurs twice"),
        ({"labels": ["card", "__import__('os')", "x"]}, "labels.1: String should match pattern"),
        ({"intercepts": [0]}, "1 intercepts for 4 columns"),
        ({"weight": 0}, "weight: Input should be greater than 0"),
        ({"sharpness": "4"}, "sharpness: Input should be a valid integer"),
        ({"words": block("a\na", b"\1\0" * 2, b"\0" * 16)}, "words: a feature occurs twice"),
        ({"words": block("a", b"\0\0", b"\0" * 8)}, "words.idf: a feature weighs nothing"),
        ({"words": block("a", b"\1\0", b"\0" * 6)}, "words.weights: 6 bytes, and 8 are needed"),
        ({"letters": {"features": "a", "idf": "%%", "weights": ""}}, "letters.idf: not base64"),
        ({"letters": {"features": "a", "idf": "é", "weights": ""}}, "letters.idf: not base64"),
    ],
)
def test_a_table_whose_parts_do_not_fit_is_refused(small: bytes, changes: dict[str, Any], said: str):
    """Each with what was found."""
    with pytest.raises(FlowError) as refused:
        LinearTable.from_bytes(changed(small, **changes))
    assert said in str(refused.value)


def test_a_table_with_too_many_weights_is_refused(monkeypatch: pytest.MonkeyPatch, small: bytes):
    """Counted before the weights are decoded."""
    monkeypatch.setattr("interlock.agents.classifier.MAX_FEATURES", 10)
    with pytest.raises(FlowError, match=r"words: \d+ features are too many"):
        LinearTable.from_bytes(small)


# -- training that is refused


def test_training_with_scikit_learn_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    """Where it was asked for: the extra is named, and the way without."""
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(SetupError, match=r"not installed.*pip install 'interlock\[ml\]'.*--backend plain"):
        train(SMALL, seed=1, backend="sklearn")


def test_training_without_scikit_learn_needs_nothing(monkeypatch: pytest.MonkeyPatch):
    """The standard library takes over, and says so."""
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    trained = train(SMALL, seed=1, folds=2)
    assert trained.report.backend == "standard library"
    assert trained.report.accuracy > 0.75
    assert LinearTable.from_bytes(trained.artefact).score("where is my card")[0][0][0] == "card"


@pytest.mark.parametrize(
    ("examples", "folds", "said"),
    [
        ([("a", "one")] * 3, 2, "examples of 1 labels"),
        ([("a", "one"), ("b", "one"), ("c", "two")], 2, "The label 'two' has 1 examples, fewer than the 2 folds"),
        ([("a", "one"), ("b", "two")], 1, "1 folds leave nothing to measure on"),
        ([("a", "one"), ("b", "one"), ("a", "two"), ("c", "two")], 2, "The example 'a' has 2 labels"),
        ([("a", "1x"), ("b", "1x"), ("c", "two"), ("d", "two")], 2, "The label '1x' is not a name"),
    ],
)
def test_examples_that_cannot_be_trained_on_are_refused(examples: list[tuple[str, str]], folds: int, said: str):
    """With what is missing."""
    with pytest.raises(CallError) as refused:
        train(examples, seed=1, folds=folds)
    assert said in str(refused.value)


def test_an_example_that_is_ours_and_out_of_scope_is_refused():
    """It cannot be both."""
    with pytest.raises(CallError, match=r"The example .* is labelled and out of scope"):
        train(SMALL, seed=1, out_of_scope=[SMALL[0][0]])
