"""`interlock route train`: labelled messages in, an artefact and what it is worth out."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..agents.embedding import Model2VecEmbedder, train_embedded
from ..agents.evaluation import Promise
from ..agents.examples import Example, Read, read_examples
from ..agents.training import Backend, TrainedRouter, train_examples
from ..contracts.errors import CallError
from . import route_report
from .route_plot import write_bytes, write_plot
from .route_suggest import promise_for, suggested_threshold
from .terminal import MARKS, Terminal, counted, safe, write_json


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asked for."""

    examples: Path
    out: Path
    outside: Path | None
    parts: tuple[str, ...]
    backend: str
    share: float | None
    folds: int
    seed: int
    embed: Path | None = None


def train(
    wishes: Wishes, misroute: str, escalation: str, at_most: float | None, plot: Path | None, as_json: bool
) -> int:
    """Write the artefact and report; 1 if `at_most` cannot be promised."""
    costs = route_report.costs_of(misroute, escalation)
    read = read_examples(wishes.examples, parts=wishes.parts)
    examples = with_outside(read, wishes.outside)
    trained = _trained(examples, wishes, quiet=as_json)
    write_bytes(wishes.out, trained.artefact, "The artefact")
    report = trained.report
    if plot is not None:
        write_plot(plot, route_report.curves_of(report.measured), "Coverage against error, on held-out messages")
    asked = promise_for(report.promises, at_most) if at_most is not None else None
    kept = at_most is None or asked is not None
    if as_json:
        write_json(
            {
                "ok": kept,
                "artefact": {"file": str(wishes.out), "bytes": len(trained.artefact), "digest": trained.digest},
                "backend": report.backend,
                "folds": report.folds,
                "features": report.features,
                "parts": list(read.parts),
                "renamed": [{"written": written, "label": label} for written, label in read.renamed],
                "several": None
                if report.several is None
                else {
                    "threshold": report.threshold,
                    "notice": report.notice,
                    "recall": round(report.several.recall, 6),
                    "precision": round(report.several.precision, 6),
                    "silent": round(report.several.silent, 6),
                },
                "held_out": route_report.document(report.measured, costs, report.judged),
            }
        )
    else:
        _show(trained, wishes, read, costs, at_most)
        if at_most is not None:
            say_promise(Terminal(), asked, at_most)
    return 0 if kept else 1


def with_outside(read: Read, outside: Path | None) -> list[Example]:
    """The examples, and those of the other file: one a line where it is plain text, or whatever its labels."""
    found = {one.text: one for one in read.examples}
    if outside is not None:
        for text in _texts(outside):
            if text in found and not found[text].outside:
                raise CallError(
                    f"The example {safe(text, 60)!r} is labelled and out of scope.",
                    where=str(outside),
                    fix="Keep one of them.",
                )
            found[text] = Example(text, frozenset(), outside=True)
    return list(found.values())


def _texts(path: Path) -> list[str]:
    if path.suffix.lower() in (".csv", ".json", ".jsonl", ".ndjson"):
        return [one.text for one in read_examples(path, prefer=()).examples]
    try:
        return [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CallError(
            f"The messages out of scope cannot be read: {error}.", where=str(path), fix="Give a UTF-8 text, one a line."
        ) from error


def say_promise(terminal: Terminal, asked: Promise | None, at_most: float) -> None:
    terminal.blank()
    mark = terminal.text((MARKS.good, "bold green")) if asked else terminal.text((MARKS.bad, "bold red"))
    words = "no threshold promises it: more examples are needed, or better ones"
    if asked is not None:
        words = f"promised from score {asked.threshold} on"
    terminal.hang(mark, f"At most {at_most:.1%} wrong: {words}.")


def _trained(examples: list[Example], wishes: Wishes, *, quiet: bool) -> TrainedRouter:
    backend = next((one for one in get_args(Backend) if one == wishes.backend), None)
    if backend is None:
        raise CallError(f"There is no backend {wishes.backend!r}.", fix="Use `auto`, `sklearn` or `plain`.")
    terminal = Terminal(error=True)
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=terminal.console, transient=True,
        disable=quiet or not terminal.console.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("reading", total=None)

        def progress(what: str, done: int, of: int) -> None:
            bar.update(task, description=what, completed=done, total=of)

        if wishes.embed is not None:
            embedder = Model2VecEmbedder(wishes.embed)
            return train_embedded(
                examples, embedder, seed=wishes.seed, folds=wishes.folds, share=wishes.share, progress=progress
            )
        return train_examples(
            examples, seed=wishes.seed, folds=wishes.folds, backend=backend, share=wishes.share, progress=progress
        )


def _show(
    trained: TrainedRouter, wishes: Wishes, read: Read, costs: route_report.Costs | None, at_most: float | None
) -> None:
    terminal, report = Terminal(), trained.report
    terminal.hang(
        terminal.text((MARKS.good, "bold green")),
        (str(wishes.out), "bold"),
        f": {counted(report.features, 'feature') if report.features else 'vectors'} of "
        f"{counted(report.examples, 'example')}"
        f"{f' and {report.out_of_scope:,} out of scope' if report.out_of_scope else ''}, "
        f"{len(trained.artefact) / 1e6:.1f} MB, trained with {report.backend}",
    )
    for name, words in (
        ("digest", trained.digest),
        ("parts", ", ".join(read.parts)),
        ("renamed", ", ".join(f"{safe(old)} → {new}" for old, new in read.renamed[:6])),
        ("measured", f"in {report.folds} folds: every figure below is of messages that the table had not seen"),
    ):
        if words:
            terminal.hang(terminal.text((f"{name:>9}", "dim")), words)
    route_report.show(terminal, report.measured, costs, report.judged)
    if report.several is not None and report.threshold is not None and report.notice is not None:
        route_report.show_several(terminal, report.several, report.threshold, report.notice)
    terminal.rule("Put into the flow")
    threshold, why = suggested_threshold(report, costs, at_most)
    for line in (
        f"classifier: {wishes.out.name}",
        f'threshold: "{_short(threshold)}"  # {why}',
        f'scope: "{_short(report.scope)}"',
        *((f'several: true\nnotice: "{(report.notice or "").rstrip("0")}"').splitlines() if report.several else ()),
    ):
        terminal.line(line, indent=4)


def _short(number: str) -> str:
    return number.rstrip("0").rstrip(".")
