"""Labelled utterances: the forms they are read from, what is refused, and folds that keep near copies together."""

import json
from pathlib import Path

import pytest

from interlock.agents.examples import Example, folds_of, near_copies, read_examples
from interlock.contracts.errors import CallError


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def labelled(*pairs: tuple[str, str]) -> tuple[Example, ...]:
    return tuple(Example(text, frozenset({label})) for text, label in pairs)


WANTED = labelled(("where is it", "card"), ("send it", "transfer"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "text,label\nwhere is it,card\nsend it,transfer\n"),
        ("a.csv", "\ufeffid,Category,Text\n1,card,where is it\n2,transfer,send it\n"),
        ("a.json", '[["where is it", "card"], ["send it", "transfer"]]'),
        ("a.json", '[{"text": "where is it", "intent": "card"}, {"text": "send it", "intents": ["transfer"]}]'),
        ("a.jsonl", '{"text": "where is it", "label": "card"}\n\n{"text": "send it", "label": "transfer"}\n'),
        ("a.json", '{"train": [["where is it", "card"], ["send it", "transfer"]], "val": [["no", "no"]]}'),
    ],
)
def test_examples_are_read_from_what_people_have(tmp_path: Path, name: str, text: str):
    """CSV with a header, JSON in lists, objects, lines, or parts."""
    assert read_examples(written(tmp_path, name, text)).examples == WANTED


def test_parts_are_those_asked_for_or_those_that_fit(tmp_path: Path):
    """A part whose name begins with `oos` is out of scope."""
    path = written(tmp_path, "a.json", json.dumps({
        "train": [["where is it", "card"], ["send it", "transfer"]],
        "oos_train": [["rain", "oos"]],
        "val": [["x", "card"]],
        "oos_val": ["snow"],
    }))  # fmt: skip
    read = read_examples(path)
    assert (read.parts, read.examples) == (("train", "oos_train"), (*WANTED, Example("rain", frozenset(), True)))
    assert read_examples(path, parts=["oos_val"]).examples == (Example("snow", frozenset(), True),)
    assert read_examples(path, prefer=("test", "val")).parts == ("val", "oos_val")


def test_several_labels_and_none(tmp_path: Path):
    """In one cell, on several rows, in a list; and a message that is nothing in particular."""
    path = written(tmp_path, "a.csv", "text,label\nboth,card|transfer\nboth,refund\nrain,out_of_scope\n")
    assert read_examples(path).examples == (
        Example("both", frozenset({"card", "transfer", "refund"})),
        Example("rain", frozenset(), True),
    )
    assert read_examples(path).several
    path = written(tmp_path, "a.json", '[{"text": "hello"}, {"text": "it", "labels": ["card"]}]')
    assert read_examples(path).examples[0] == Example("hello", frozenset())


def test_labels_are_made_names(tmp_path: Path):
    """And what was renamed is said."""
    path = written(tmp_path, "a.csv", "text,label\nx,reverted payment?\ny,card\n")
    read = read_examples(path)
    assert read.renamed == (("reverted payment?", "reverted_payment"),)
    assert read.examples[0].labels == {"reverted_payment"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "words,label\na,b\n", "The file has the columns 'words', 'label'. Where: "),
        ("a.csv", "", "The file has the columns none."),
        ("a.csv", b"text,label\n\xff,b\n", "The file is not UTF-8."),
        ("a.csv", "text,label\na,\n", "An example has no label. Where: "),
        ("a.csv", "text,label\n ,b\n", "An example has no text. Where: "),
        ("a.csv", "text,label\n", "The file holds no examples."),
        ("a.csv", "text,label\na,b\na,oos\n", "The example 'a' is labelled and out of scope."),
        ("a.csv", "text,label\na,1 2\n", "The label '1 2' cannot be made a name."),
        ("a.csv", "text,label\na,x y\nb,x-y\n", "The label 'x-y' cannot be made a name."),
        ("a.json", "{", "The file is no JSON: "),
        ("a.json", "3", "The file holds neither a list of examples nor lists by part."),
        ("a.json", '{"a": 3}', "The file holds neither a list of examples nor lists by part."),
        ("a.json", '["hello"]', "An entry is neither [text, label] nor an object with `text` and a label. Where: "),
        ("a.json", '[["a", "b", "c"]]', "An entry is neither [text, label]"),
        ("a.json", '[{"label": "b"}]', "An entry is neither [text, label]"),
    ],
)
def test_what_is_refused_says_where_and_what_to_do(tmp_path: Path, name: str, text: str | bytes, said: str):
    """Each with its place and a fix."""
    with pytest.raises(CallError) as refused:
        read_examples(written(tmp_path, name, text))
    assert said in str(refused.value)
    assert refused.value.fix


def test_a_missing_file_and_a_missing_part_are_said(tmp_path: Path):
    """With what there is."""
    with pytest.raises(CallError, match=r"The examples cannot be read: No such file"):
        read_examples(tmp_path / "none.csv")
    path = written(tmp_path, "a.json", '{"train": []}')
    with pytest.raises(CallError, match=r"The file has no part 'test'.*It has 'train'"):
        read_examples(path, parts=["test"])


def test_near_copies_stand_in_one_fold_and_labels_are_spread():
    """What was written together is held out together; no cluster takes more than a tenth of its label."""
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    texts = [f"{one} {two} please now" for one in words for two in words]
    examples = labelled(*((text, "card") for text in texts), *((f"{one} transfer {one}", "transfer") for one in words))
    clusters = near_copies(examples)
    folds = folds_of(examples, clusters, 5, seed=1)
    by_cluster: dict[int, set[int]] = {}
    for cluster, fold in zip(clusters, folds, strict=True):
        by_cluster.setdefault(cluster, set()).add(fold)
    assert all(len(found) == 1 for found in by_cluster.values())
    assert len(set(clusters)) < len(examples)
    assert max(clusters.count(cluster) for cluster in clusters) <= 10
    for start, end in ((0, 100), (100, 110)):
        counts = [folds[start:end].count(fold) for fold in range(5)]
        assert max(counts) - min(counts) <= (end - start) // 10
    assert folds == folds_of(examples, clusters, 5, seed=1)
