"""Trains the bank's router: `python -m interlock.examples.bank.train_router` writes `router.json` beside it.

The utterances were written for this example. Put the printed digest into the flow after training again.
"""

import csv
import sys
from pathlib import Path

from interlock.agents.training import TrainedRouter, TrainingReport, train

HERE = Path(__file__).parent
OUT_OF_SCOPE = "out_of_scope"
SEED = 77


def utterances() -> tuple[tuple[str, str], ...]:
    """(text, label) as they stand in `utterances.csv`."""
    with (HERE / "utterances.csv").open(encoding="utf-8", newline="") as file:
        return tuple((row["text"], row["label"]) for row in csv.DictReader(file))


def trained() -> TrainedRouter:
    rows = utterances()
    return train(
        [(text, label) for text, label in rows if label != OUT_OF_SCOPE],
        seed=SEED,
        out_of_scope=[text for text, label in rows if label == OUT_OF_SCOPE],
    )


def said(report: TrainingReport) -> str:
    """The report in words; `interlock route train` says more."""
    lines = [
        f"{report.examples} examples of {len(report.labels)} labels, and {report.out_of_scope} out of scope",
        f"{report.features} features; measured in {report.folds} folds:",
        f"  accuracy {report.accuracy:.1%}, routed at 5 % error {report.coverage_at(0.05):.0%}",
    ]
    lines += [f"  {label:<12} {right:>6.1%} of {count}" for label, count, right in report.labels]
    for error, promise in report.promises:
        kept = (
            f"threshold {promise.threshold}, {promise.coverage:.0%} routed, {promise.wrong} wrong of "
            f"{promise.routed} (n = {promise.n}, bound {promise.bound:.1%} at {promise.confidence:.0%})"
            if promise
            else "no threshold: too few examples agree"
        )
        lines.append(f"  at most {error:.0%} wrong: {kept}")
    if report.scope_auroc is not None and report.scope_recall is not None:
        lines.append(
            f"  scope {report.scope}: recognises {report.scope_recall:.0%} of what is out of scope "
            f"(AUROC {report.scope_auroc:.3f})"
        )
    return "\n".join(lines)


def main() -> None:
    router = trained()
    (HERE / "router.json").write_bytes(router.artefact)
    sys.stdout.write(f"{said(router.report)}\nrouter.json: {len(router.artefact)} bytes, digest {router.digest}\n")


if __name__ == "__main__":
    main()
