"""`interlock backtest`: a recorded history through another flow, as a table, a document and a page."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ..contracts.errors import CallError
from ..contracts.values import listed
from ..service.backtesting import Finished, Progress, Selection, Variant, backtest_log, labels_of
from ..service.executing import executor_for
from ..service.standards import Met, measured, read_standards
from ..service.tally import VERDICTS
from ..service.wiring import db_path, open_log
from .archiving import archives_of, archives_said
from .backtest_page import page
from .terminal import MARKS, Terminal, counted, safe, write_json

WORDS = {
    "same": "same",
    "rerouted": "re-routed",
    "illegal": "illegal now",
    "needs_model": "needs a model",
    "needs_tool": "needs a tool",
    "limit": "limit now reached",
    "unknown": "depends on an erased text",
}
"""How a verdict is called."""
SHOWN = 12
BILLION = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked on the command line."""

    flow: str
    db: Path | None
    since: str
    label: str
    sample: int | None
    seed: int
    thresholds: Sequence[str]
    classifiers: Sequence[str]
    json: str
    html: Path | None
    turns: Path | None
    fail_over: Sequence[str]
    jobs: int
    resume: Path | None


def backtested(wishes: Wishes) -> int:
    """1 where a standard is not met, or a conversation could not be judged."""
    standards = read_standards(wishes.fail_over)
    variant = Variant(
        wishes.flow,
        tuple(_named(one, "threshold", number=True) for one in wishes.thresholds),
        tuple(_named(one, "classifier") for one in wishes.classifiers),
    )
    selection = Selection(_moment(wishes.since), wishes.label, wishes.sample, wishes.seed)
    path = db_path(wishes.db)
    with closing(open_log(path)) as store:  # says what is wrong with the log, and brings its tables to this release's
        archived = store.archived()
    began = time.perf_counter()
    with ExitStack() as stack:
        progress = stack.enter_context(_bar(quiet=wishes.json == "-"))
        turns = stack.enter_context(_lines(wishes.turns))
        jobs = wishes.jobs or os.cpu_count() or 1
        found = backtest_log(
            path, variant, selection, executor_for(jobs), resume=wishes.resume, progress=progress, turns=turns
        )
    left = archives_of(one for one in archived if one.flow_name == found.program.ref.name)
    if not found.tally.conversations and not found.tally.failed:
        raise _nothing(path, found, selection, archives_said(left))
    seconds = time.perf_counter() - began
    met = measured(standards, found.tally)
    document = backtest_document(found, met, path, wishes.flow, seconds)
    document |= {"archived": left} if left else {}
    _write(wishes, document)
    if wishes.json == "-":
        write_json(document)
    else:
        _show(document)
        if left:
            Terminal().line((archives_said(left), "dim"))
    return 0 if all(one.holds for one in met) and not found.tally.failed else 1


def _nothing(path: Path, found: Finished, selection: Selection, archived: str) -> CallError:
    """No conversation was left: a history that matches nothing keeps every standard, and shows nothing."""
    asked = [f"--since {selection.since.isoformat()}"] if selection.since is not None else []
    asked += [f"--label {selection.label}"] if selection.label else []
    forks = f"; {counted(found.tally.forks, 'fork')} left out" if found.tally.forks else ""
    ref = found.program.ref
    if selection.label and (labels := sorted(labels_of(path, ref.name))) and selection.label not in labels:
        fix = f"Conversations of it were routed to {listed(labels)}."
    else:
        fix = "`interlock log` lists what there is; name another log with --db, or ask for more."
    return CallError(
        f"No conversation of the flow {ref.name!r} matches{' ' if asked else ''}{' and '.join(asked)}: nothing was "
        f"tried{forks}.",
        where=str(path),
        fix=" ".join(filter(None, (fix, archived))),
    )


def _named(text: str, what: str, *, number: bool = False) -> tuple[str, str]:
    """`ROUTER=VALUE`, or a value for every router."""
    name, sign, value = text.partition("=")
    if not sign:
        name, value = "", text
    if number:
        try:
            if not 0 <= float(value) <= 1:
                raise ValueError
        except ValueError:
            raise CallError(
                f"{value!r} is no {what} from 0 to 1.", fix=f"Write --{what} ROUTER=0.8, or --{what} 0.8 for all."
            ) from None
    return name, value


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CallError(
            f"{text!r} is no date.", fix="Write --since 2026-01-31, or with a time: 2026-01-31T09:00."
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Any]:
    terminal = Terminal(error=True)
    bar = Bar(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=terminal.console, transient=True, disable=quiet or not terminal.console.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("conversations", total=None)

        def progress(at: Progress) -> None:
            moved = at.tally.turns - at.tally.verdicts["same"]
            bar.update(task, description=f"{counted(moved, 'turn')} not the same", completed=at.done, total=at.total)

        yield progress


@contextmanager
def _lines(path: Path | None) -> Iterator[Any]:
    """Writes each turn that is not the same as one line of JSON."""
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error
    with file:
        yield lambda turn: file.write(json.dumps(turn) + "\n")


def _unwritable(path: Path, error: OSError) -> CallError:
    return CallError(f"The file cannot be written: {error.strerror}.", where=str(path), fix="Name another place.")


def _write(wishes: Wishes, document: dict[str, Any]) -> None:
    texts = {wishes.html: page(document)} if wishes.html is not None else {}
    if wishes.json and wishes.json != "-":
        texts[Path(wishes.json)] = json.dumps(document, indent=2) + "\n"
    for path, text in texts.items():
        try:
            path.write_text(text, "utf-8")
        except OSError as error:
            raise _unwritable(path, error) from error


def backtest_document(found: Finished, met: Sequence[Met], db: Path, source: str, seconds: float) -> dict[str, Any]:
    """`{"flow", "version", "digest", "source", "versions", "conversations", "turns", "decisions", "verdicts",
    "differing", "moved": [{"by", "was", "now", "turns"}], "notes", "needs", "reasons", "cost": {"currency", "paid",
    "would_be", "more_at_most"}, "policies": [{"name", "recorded", "now"}], "standards": [{"rule", "number", "of",
    "holds"}], "top": [{"id", "weight", "turns", "commands"}], "problems", "failed", "skipped", "forks", "resumed",
    "seconds", "model_calls"}`, and where conversations of the flow were pruned `"archived": {archive: how many}`. Costs
    are in units of the currency, `more_at_most` is what the calls that are needed may add."""
    tally, ref = found.tally, found.program.ref
    body = tally.document()
    names = sorted(tally.broke.keys() | tally.breaks.keys())
    return {
        "flow": ref.name,
        "version": ref.version,
        "digest": ref.digest,
        "source": source,
        "versions": found.versions,
        **{name: body[name] for name in ("conversations", "turns", "decisions", "differing")},
        "verdicts": {name: tally.verdicts[name] for name in VERDICTS},
        **{name: body[name] for name in ("moved", "notes", "needs", "reasons")},
        "cost": {
            "currency": found.program.flow.currency,
            "paid": round(tally.paid / BILLION, 9),
            "would_be": round(tally.pays / BILLION, 9),
            "more_at_most": round(tally.pays_at_most / BILLION, 9),
        },
        "policies": [{"name": name, "recorded": tally.broke[name], "now": tally.breaks[name]} for name in names],
        "watched": [one.name for one in found.program.flow.policies],
        "standards": [
            {"rule": one.standard.written, "number": one.number, "of": one.of, "holds": one.holds} for one in met
        ],
        "top": [{**one, "commands": _commands(one["id"], db)} for one in body["top"]],
        **{name: body[name] for name in ("problems", "failed", "skipped", "forks")},
        "resumed": found.resumed,
        "seconds": round(seconds, 1),
        "model_calls": 0,
    }


def _commands(stream: str, db: Path) -> list[str]:
    return [f"interlock log {stream} --texts --db {db}", f"interlock replay {stream} --db {db}"]


def _share(number: int, of: int) -> str:
    return f"{100 * number / of:.1f} %" if of else "-"


def _show(document: dict[str, Any]) -> None:
    terminal, turns = Terminal(), document["turns"]
    terminal.rule(f"{document['flow']} v{document['version']} {document['digest'][:12]}, on what was recorded")
    rows = [
        [WORDS[name], f"{number:,}", _share(number, turns)]
        for name, number in document["verdicts"].items()
        if number or name == "same"
    ]
    terminal.table(["turn", "number", "share"], rows, right=(1, 2))
    terminal.blank()
    _show_moved(terminal, document["moved"])
    for title, key in (("why", "reasons"), ("to be asked", "needs"), ("goes the same way with another", "notes")):
        for name, number in sorted(document[key].items(), key=lambda item: -item[1])[:SHOWN]:
            terminal.line((f"{title}: ", "dim"), safe(name, 200), (f"  {counted(number, 'turn')}", "dim"))
    for policy in document["policies"]:
        worse = policy["now"] > policy["recorded"]
        terminal.hang(
            terminal.text((MARKS.bad if worse else MARKS.dot, "bold red" if worse else "dim")),
            f"policy {policy['name']}: broken in {counted(policy['now'], 'turn')}, recorded in {policy['recorded']:,}",
        )
    _show_cost(terminal, document["cost"])
    _show_top(terminal, document["top"])
    for one in document["problems"][:SHOWN]:
        terminal.hang(terminal.text((MARKS.bad, "bold red")), (f"{one['id'][:8]}: ", "bold"), safe(one["what"], 300))
    for one in document["standards"]:
        good = one["holds"]
        terminal.hang(
            terminal.text((MARKS.good, "bold green") if good else (MARKS.bad, "bold red")),
            f"{one['rule']}: {one['number']:,} of {one['of']:,} ({_share(one['number'], one['of'])})",
        )
    if document["forks"]:
        terminal.line((f"{counted(document['forks'], 'fork')} left out: what a fork begins with is a copy", "dim"))
    rate = document["conversations"] / max(document["seconds"], 0.1)
    terminal.line(
        f"{counted(document['conversations'], 'conversation')}, {counted(turns, 'turn')}, "
        f"{counted(document['decisions'], 'decision')} in {document['seconds']:.1f} s ({rate:,.0f} conversations a "
        "second), 0 model calls"
    )


def _show_moved(terminal: Terminal, moved: Sequence[dict[str, Any]]) -> None:
    if not moved:
        return
    rows = [[one["by"], one["was"], one["now"], f"{one['turns']:,}"] for one in moved[:SHOWN]]
    terminal.table(["re-routed by", "from", "to", "turns"], rows, right=(3,))
    if len(moved) > SHOWN:
        terminal.line((f"and {len(moved) - SHOWN} more ways; --json or --html has all", "dim"))
    terminal.blank()


def _show_cost(terminal: Terminal, cost: dict[str, Any]) -> None:
    difference = cost["would_be"] - cost["paid"]
    if not difference and not cost["more_at_most"]:
        return
    terminal.line(
        f"model calls cost {cost['paid']:.2f} {cost['currency']}; of these {cost['would_be']:.2f} would be made again "
        f"({difference:+.2f}), and what would have to be asked costs at most {cost['more_at_most']:.2f} more"
    )


def _show_top(terminal: Terminal, top: Sequence[dict[str, Any]]) -> None:
    if not top:
        return
    terminal.rule("the conversations that differ most")
    for one in top:
        first = one["turns"][0]
        way = f": {first['was']} → {first['now']}" if first.get("was") or first.get("now") else ""
        why = f" ({safe(first['reason'], 120)})" if first.get("reason") else ""
        terminal.line(
            (f"{one['id'][:8]} ", "bold"),
            f"{counted(len(one['turns']), 'turn')}, the first at event {first['version']}, "
            f"{WORDS[first['verdict']]}{way}{why}",
        )
        terminal.line((one["commands"][0], "dim"), indent=2)
