"""Microseconds a message: the exported table against scikit-learn with the same weights, in one run.

`python benchmarks/routing.py [MESSAGES]`. Uses Banking77 where it is (`INTERLOCK_DATA`, or `../shared/data`
beside the repository), and always the bank example's own utterances. CPU time of one thread; medians.
"""

import csv
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from interlock.agents.classifier import LinearTable, Scoring
from interlock.agents.exporting import written
from interlock.agents.fitting_sklearn import fit_sklearn
from interlock.contracts.flow import RouterSpec
from interlock.examples.bank.train_router import OUT_OF_SCOPE, utterances
from interlock.fsm.route import choose, evidence

DATA = Path(os.environ.get("INTERLOCK_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")


def microseconds(call: Callable[[str], object], messages: Sequence[str]) -> tuple[float, float]:
    """Median and 99th percentile."""
    taken = []
    for message in messages:
        started = time.thread_time_ns()
        call(message)
        taken.append((time.thread_time_ns() - started) / 1_000)
    return statistics.median(taken), sorted(taken)[len(taken) * 99 // 100]


def compare(name: str, rows: Sequence[tuple[str, str]], messages: Sequence[str]) -> None:
    texts, truth = [text for text, _ in rows], [label for _, label in rows]
    labels = tuple(sorted(set(truth)))
    fitted = fit_sklearn(texts, [frozenset({label}) for label in truth], labels, seed=1)
    artefact = written(fitted, Scoring(labels, False, 4.0, (4.0, 0.0, 2.0), (-4.0, 1.0, 2.0, 1.0, 0.0, 4.0)))
    started = time.perf_counter()
    table = LinearTable.from_bytes(artefact)
    loaded = time.perf_counter() - started
    cold = microseconds(table.score, messages)
    ours = microseconds(table.score, messages)
    theirs = microseconds(lambda text: fitted.margins([text]), messages[:300])
    spec = RouterSpec(name="triage", labels=dict.fromkeys(labels, "x"), threshold="0.600000")
    whole = microseconds(lambda text: choose(spec, evidence(spec, text, classifier=table)), messages)
    print(f"{name}: {len(labels)} labels, {len(artefact) / 1e6:.2f} MB, read in {loaded * 1e3:.0f} ms")
    print(f"  first pass          {cold[0]:8.0f} µs   p99 {cold[1]:8.0f}")
    print(f"  table               {ours[0]:8.0f} µs   p99 {ours[1]:8.0f}")
    print(f"  screen to decision  {whole[0]:8.0f} µs   p99 {whole[1]:8.0f}")
    print(f"  scikit-learn        {theirs[0]:8.0f} µs   p99 {theirs[1]:8.0f}   {theirs[0] / ours[0]:.0f} times")


def main(count: int) -> None:
    rows = [row for row in utterances() if row[1] != OUT_OF_SCOPE]
    random.Random(1).shuffle(rows)
    compare("bank example", rows[count // 4 :], [text for text, _ in rows[: count // 4]])
    path = DATA / "banking77" / "train.csv"
    if not path.exists():
        print("Banking77: not here")
        return
    with path.open(encoding="utf-8", newline="") as file:
        theirs = sorted({row["text"]: row["category"].rstrip("?") for row in csv.DictReader(file)}.items())
    random.Random(1).shuffle(theirs)
    compare("Banking77", theirs[count:], [text for text, _ in theirs[:count]])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000)
