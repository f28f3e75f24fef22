"""`interlock audit`: policies over recorded conversations, and what broke them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from ..contracts.errors import CallError
from ..contracts.policies import Policy
from ..contracts.store import Store
from ..fsm.policies.alone import read_policies
from ..fsm.policies.english import rule_of
from ..fsm.policies.words import meanings_of, said
from ..service.policing import (
    Breach,
    Judge,
    Judged,
    PolicyAudit,
    Standing,
    audited_policies,
    is_fork,
    of_flow,
    own_policies,
)
from ..service.project import load_project
from .finding import existing_log, flow_of, streams_named
from .terminal import MARKS, Terminal, counted, write_json

MOST_SHOWN = 20
"""Breaches shown of each policy; `--json` has all that are kept."""


def audit(
    prefixes: Sequence[str],
    *,
    flow: str = "",
    policies: Path | None = None,
    forks: bool = False,
    db: Path | None = None,
    as_json: bool,
) -> int:
    """Judge the named conversations, or all but forks, or all with `forks`; 1 where a policy is broken."""
    if flow and policies is not None:
        raise CallError("Both --flow and --policies stand here.", fix="Give the flow, or a file of policies alone.")
    with existing_log(db) as store:
        chosen = streams_named(store, prefixes) if prefixes else list(store.streams())
        chosen, judge_of = _judges(store, chosen, flow, policies, named=bool(prefixes))
        left = set() if forks or prefixes else {one for one in chosen if is_fork(store, one)}
        chosen = [one for one in chosen if one not in left]
        with _bar(len(chosen), quiet=as_json) as progress:
            found = audited_policies(store, chosen, judge_of, progress)
        found.forks = len(left)
    if as_json:
        write_json(document(found))
    else:
        show(Terminal(), found)
    return 0 if found.holds else 1


def _judges(
    store: Store, streams: list[str], flow: str, policies: Path | None, *, named: bool
) -> tuple[list[str], Callable[[str], Judge | None]]:
    """Which conversations are judged by what."""
    if policies is not None:
        judge = Judge(_policies_in(policies))
    elif flow:
        loaded = load_project(flow).program.flow
        if not loaded.policies:
            fix = "Write `policies:` in it, or give a file of policies."
            raise CallError(f"The flow {loaded.name!r} has no policies.", fix=fix)
        judge = Judge(loaded.policies, meanings_of(loaded))
        streams = streams if named else list(of_flow(store, streams, loaded.name))
    else:
        return streams, own_policies(store, lambda digest: flow_of(store, digest))
    return streams, lambda _: judge


def _policies_in(file: Path) -> tuple[Policy, ...]:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CallError(f"{file} cannot be read: {error.strerror}.", fix="Give a file of policies.") from error
    return read_policies(data, str(file))


def document(found: PolicyAudit) -> dict[str, Any]:
    """`{"conversations", "events", "unjudged", "forks", "policies": [{"name", "says", "rule", "kept", "broken",
    "open", "not_tested", "refused"}], "breaches": [{"policy", "conversation", "version", "at", "word", "what",
    "since"}]}`. `refused` counts the conversations in which a step that would have broken it was not taken."""
    return {
        "conversations": found.conversations,
        "events": found.events,
        "unjudged": found.unjudged,
        "forks": found.forks,
        "policies": [
            {"name": name, "says": one.policy.says, "rule": rule_of(one.policy), **_counts(one), "refused": one.refused}
            for name, one in found.judged.items()
        ],
        "breaches": [
            {
                "policy": one.policy,
                "conversation": one.conversation,
                "version": one.version,
                "at": one.at,
                "word": one.word or None,
                "what": what_of(one),
                "since": one.since,
            }
            for one in found.breaches
        ],
    }


_COLUMNS: dict[str, Standing] = {
    "kept": "holds",
    "broken": "broken",
    "open": "open",
    "not_tested": "not_applicable",
}
_LEGEND = (
    "kept: what it speaks of happened, and as it says. open: so far kept, and still owed. not put to the test: nothing "
    "that it speaks of happened; for `never X` alone that is all that is not broken."
)


def _counts(one: Judged) -> dict[str, int]:
    return {name: one.counts[standing] for name, standing in _COLUMNS.items()}


def what_of(breach: Breach) -> str:
    """What broke it, in words."""
    if breach.word and breach.since is None:
        return said(breach.word)
    came = f"{said(breach.word)} came" if breach.word else "the end came"
    return f"{came}, and what is owed since event {breach.since} had not"


def show(terminal: Terminal, found: PolicyAudit) -> None:
    over = f"{counted(found.conversations, 'conversation')}, {counted(found.events, 'event')}"
    if not found.judged:
        terminal.line("No conversation here has policies: give --flow FLOW, or --policies FILE.")
        return
    rows: list[list[str | tuple[str, str]]] = [
        [
            (MARKS.bad, "bold red") if one.counts["broken"] else (MARKS.good, "green"),
            (name, "bold"),
            str(one.counts["holds"]),
            (str(one.counts["broken"]), "bold red" if one.counts["broken"] else ""),
            str(one.counts["open"]),
            (str(one.counts["not_applicable"]), "dim"),
        ]
        for name, one in found.judged.items()
    ]
    headings = ["", "policy", "kept", "broken", "open", "not put to the test"]
    terminal.table(headings, rows, right=(2, 3, 4, 5), whole=(1,))
    terminal.line((_LEGEND, "dim"))
    for name, one in found.judged.items():
        broken = [each for each in found.breaches if each.policy == name]
        if broken:
            terminal.blank()
            terminal.line((name, "bold"), f": {one.policy.says}")
            terminal.line((rule_of(one.policy), "dim"), indent=1)
        for each in broken[:MOST_SHOWN]:
            at = f"{each.at[:19].replace('T', ' ')} UTC"
            terminal.line(
                (each.conversation[:8], "bold"), f" event {each.version}, {at}: ", (what_of(each), "red"), indent=1
            )
        if (more := one.counts["broken"] - MOST_SHOWN) > 0:
            terminal.line((f"and {counted(more, 'conversation')} more; --json has them", "dim"), indent=1)
    _show_refused(terminal, found)
    terminal.blank()
    left = f"; {counted(found.unjudged, 'conversation')} without policies" if found.unjudged else ""
    left += f"; {counted(found.forks, 'fork')} left out (--forks takes them)" if found.forks else ""
    terminal.line((f"{over}{left}. `interlock log ID` tells one.", "dim"))


def _show_refused(terminal: Terminal, found: PolicyAudit) -> None:
    """Where a policy holds because a step was refused, not because the rows keep it."""
    refused = {name: one.refused for name, one in found.judged.items() if one.refused}
    if refused:
        terminal.blank()
    for name, number in refused.items():
        says = f"in {counted(number, 'conversation')} a step that would have broken it had to be refused"
        terminal.hang(terminal.text((f"{MARKS.warn} {name}", "bold")), (says, "yellow"), indent=1)


@contextmanager
def _bar(total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    terminal = Terminal(error=True)
    columns = (TextColumn("auditing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    off = quiet or not terminal.console.is_terminal
    with Bar(*columns, console=terminal.console, transient=True, disable=off) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.update(task, completed=done)
