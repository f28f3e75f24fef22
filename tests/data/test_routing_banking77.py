"""Banking77, 77 neighbouring intents: trained on part of its training file, measured on the rest of it.

One test trains once: parallel workers would each train again for tests of their own.
"""

import csv
import os
import random
from pathlib import Path

import pytest

from interlock.agents.classifier import LinearTable
from interlock.agents.evaluation import Scored, accuracy, clopper_pearson, coverage_at_error
from interlock.agents.training import train
from support.source_tree import ROOT

DATA = Path(os.environ.get("INTERLOCK_DATA") or ROOT.parent / "shared" / "data")
HELD_OUT = 1_500


def shuffled_rows() -> list[tuple[str, str]]:
    path = DATA / "banking77" / "train.csv"
    if not path.exists():
        pytest.skip("Banking77 is not here; set INTERLOCK_DATA to the folder that holds banking77/train.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = sorted({row["text"]: row["category"].rstrip("?") for row in csv.DictReader(file)}.items())
    random.Random(77).shuffle(rows)
    return rows


def assert_calibrated(scored: list[Scored]) -> None:
    """The mean score is within five points of the share that was right, over all and over the unsure half."""
    for part in (scored, sorted(scored)[: len(scored) // 2]):
        assert abs(sum(score - right for score, right in part) / len(part)) < 0.05


def test_messages_held_out_are_routed_as_promised():
    """At least 88 in 100 right; two thirds routed at 2 % error; scores are probabilities; 5 % promised is kept."""
    rows = shuffled_rows()
    trained = train(rows[HELD_OUT:], seed=77, folds=2)
    table = LinearTable.from_bytes(trained.artefact)
    best = [(table.score(text)[0][0], label) for text, label in rows[:HELD_OUT]]
    scored: list[Scored] = [(score, given == label) for (given, score), label in best]

    assert accuracy((label, given) for (given, _), label in best) >= 0.88
    assert coverage_at_error(scored, 0.02) >= 0.66
    assert_calibrated(scored)
    promised = dict(trained.report.promises)[0.05]
    assert promised is not None
    above = [right for score, right in scored if score >= float(promised.threshold)]
    assert len(above) > 0.6 * HELD_OUT
    assert clopper_pearson(above.count(False), len(above)) <= 0.05


@pytest.mark.full
def test_training_twice_gives_the_same_bytes():
    """At the size of real use too."""
    rows = shuffled_rows()
    assert train(rows, seed=77, folds=2).artefact == train(reversed(rows), seed=77, folds=2).artefact
