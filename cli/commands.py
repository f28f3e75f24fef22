"""Every command as it is called: its arguments and its help. What it does loads when it runs.

A command's function returns its exit code to here: 0 fine, 1 what was asked about does not hold.
"""

from pathlib import Path
from typing import Annotated

import typer

from ..contracts.errors import CallError
from .options import BaseUrl, Conversation, Db, Ending, FlowArgument, FlowOption, Format, Json, Model, OneOrAll


def demo(
    what: Annotated[
        str,
        typer.Argument(metavar="storm", help="`storm`: agents that hand a customer back and forth, and to themselves."),
    ] = "",
    db: Annotated[
        Path | None,
        typer.Option("--db", metavar="FILE", help="Keep the log in this file. \\[default: a temporary one]"),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the temporary log, and say where it is.")] = False,
    base_url: BaseUrl = "",
    model: Model = "",
    json: Json = False,
) -> None:
    """Play fourteen bank customers, verify their log, and decide it all again.

    Offline and without a key: the advisers are scripted. With OPENAI_API_KEY or --base-url the same flow
    talks to that model. Exits with 1 unless everything held. `interlock demo storm` plays two incidents
    instead, in a plain loop and under Interlock.
    """
    if what == "storm":
        from .storm import storm

        raise typer.Exit(storm(db, keep, json))
    if what:
        raise CallError(f"There is no demo {what!r}.", fix="Run `interlock demo`, or `interlock demo storm`.")
    from .demo import demo as run

    _end(run(db, keep, base_url, model, json))


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The flow's name, and its folder's.")],
    folder: Annotated[Path, typer.Option("--in", metavar="FOLDER", help="Where to make it.")] = Path(),
    json: Json = False,
) -> None:
    """Make a flow project: flow.yaml, code.py, scripted.py, a test and a README."""
    from .new import new as run

    run(name, folder, json)


def chat(
    flow: FlowArgument,
    db: Db = None,
    resume: Annotated[
        str, typer.Option("--resume", metavar="CONVERSATION", help="Go on with this one: the beginning of its id.")
    ] = "",
    base_url: BaseUrl = "",
    model: Model = "",
) -> None:
    """Talk to a flow. Reads lines from the terminal, or from a pipe.

    A real model answers if OPENAI_API_KEY or --base-url is given, else the flow's own script. `/help` lists
    what can be typed besides messages; a task for a person is decided with `/task DECISION`.
    """
    from .chat import chat as run

    run(flow, db, resume, base_url, model)


def check(
    flow: FlowArgument,
    describe: Annotated[bool, typer.Option("--describe", help="Print the flow in English sentences.")] = False,
    sarif: Annotated[
        Path | None, typer.Option("--sarif", metavar="FILE", help="Write SARIF 2.1.0 too, for code review.")
    ] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML too, for CI.")] = None,
    promela: Annotated[
        Path | None, typer.Option("--promela", metavar="FILE", help="Write a model for SPIN too, a second opinion.")
    ] = None,
    tests: Annotated[
        Path | None,
        typer.Option("--write-tests", metavar="DIR", help="Write each counterexample as a failing pytest."),
    ] = None,
    against: Annotated[
        str, typer.Option("--against", metavar="OLD", help="Compare with an older version: a flow, or its file alone.")
    ] = "",
    moves: Annotated[
        list[str] | None,
        typer.Option("--moves", metavar="OLD=NEW", help="With --against: a state that has another name now."),
    ] = None,
    prices: Annotated[
        Path | None, typer.Option("--prices", metavar="FILE", help="Prices of models, for the bill: a dated table.")
    ] = None,
    json: Json = False,
) -> None:
    """Prove what a flow can do, before it runs: faults with line and fix, verdicts, ways to what is wrong, the bill."""
    from .checking import Wanted
    from .checking import check as run

    _end(run(flow, Wanted(describe, json, sarif, junit, promela, tests, against, tuple(moves or ()), prices)))


def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="As `interlock check` prints it: P305, S130, R201.")],
    json: Json = False,
) -> None:
    """Say what a check asks of a flow, why, where its fix is found, and whether its answer can be accepted."""
    from .explaining import explain as run

    _end(run(code, json))


def draw(
    flow: FlowArgument,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write .svg, .png, .dot or .mmd.")
    ] = None,
    form: Annotated[Format | None, typer.Option("--format", help="Instead of what the file's ending says.")] = None,
    counterexample: Annotated[
        str, typer.Option("--counterexample", metavar="CODE", help="Show in red how what this code asks is refuted.")
    ] = "",
    json: Json = False,
) -> None:
    """Draw the flow: Mermaid text by default, SVG or PNG into a file."""
    from .flows import draw as run

    run(flow, out, form, json, counterexample)


def log(
    conversation: OneOrAll = "",
    db: Db = None,
    texts: Annotated[bool, typer.Option("--texts", help="Show what was said: personal, so only when asked.")] = False,
    hashes: Annotated[bool, typer.Option("--hashes", help="Show the first digits of each entry's hash.")] = False,
    all_events: Annotated[bool, typer.Option("--all", help="Show timers, too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="List at most so many.")] = 50,
    at: Annotated[
        int | None, typer.Option("--at", min=0, metavar="N", help="How it stood after event N, from 0.")
    ] = None,
    who: Annotated[
        str, typer.Option("--as", metavar="NAME", envvar="INTERLOCK_USER", help="Who reads the texts: it is recorded.")
    ] = "",
    ground: Annotated[str, typer.Option("--ground", metavar="TEXT", help="Why they are read: recorded, too.")] = "",
    archive: Annotated[
        Path | None, typer.Option("--archive", metavar="PATH", help="Read what was pruned, from its archive.")
    ] = None,
    json: Json = False,
) -> None:
    """List the conversations, tell what happened in one of them, or show how it stood at one event."""
    from .history import Shown, list_all, tell_one
    from .seeing import Looking
    from .standing import tell_at

    looks = Looking(who, ground) if texts else None
    if at is not None:
        _end(tell_at(db, conversation, at, texts=looks, as_json=json))
    elif conversation:
        show = Shown(looks, hashes, all_events, json)
        _end(tell_one(db, conversation, show, archive))
    else:
        list_all(db, limit, json, archive)


def replay(
    conversations: Annotated[
        list[str] | None, typer.Argument(metavar="CONVERSATION", help="The beginnings of their ids.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every conversation of the log.")] = False,
    routes: Annotated[
        bool, typer.Option("--routes", help="Route the recorded messages again with today's rules and classifier.")
    ] = False,
    router: Annotated[
        str, typer.Option("--router", metavar="NAME", help="With --routes: the flow's router for imported messages.")
    ] = "",
    label_at: Annotated[
        str, typer.Option("--label-at", metavar="PATH", help="With --routes: where imported records have their label.")
    ] = "",
    step: Annotated[bool, typer.Option("--step", help="Walk through one conversation, an event at a time.")] = False,
    texts: Annotated[bool, typer.Option("--texts", help="With --step: show what was said.")] = False,
    flow: FlowOption = "",
    db: Db = None,
    json: Json = False,
) -> None:
    """Decide every recorded command again, byte for byte, without a model, a tool or a clock.

    One level of a ladder, from what needs least to what needs most:

    verify                is the log intact?  (its entries)
    log ID --at N         how did it stand then?  (entries)
    replay                would this code decide the same?  (entries, code)
    replay --routes       would today's rules and classifier route the same?
                          (entries, texts, code; with --flow imports too)
    backtest FLOW         what would a new flow have done?
                          (entries, the new flow)
    fork ID --at N        go on from event N in a new conversation
                          (entries, texts, agents)

    Each says what it could not answer, and guesses nothing.
    """
    if step:
        from .walking import step as walk
        from .walking import typed

        _end(walk(db, conversations or [], flow, texts, typed))
    elif routes:
        from .routing_again import Wanted
        from .routing_again import routes as run_routes

        _end(run_routes(db, Wanted(conversations or (), every, flow, router, label_at), json))
    else:
        from .proof import replay as run

        _end(run(db, conversations or [], every, flow, json))


def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="The beginning of a conversation's id.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Of the one to compare it with.")] = "",
    today: Annotated[bool, typer.Option("--today", help="Compare A with what today's code decides of it.")] = False,
    texts: Annotated[bool, typer.Option("--texts", help="Show what was said.")] = False,
    flow: FlowOption = "",
    db: Db = None,
    json: Json = False,
) -> None:
    """Show where two conversations first differ, and what follows side by side; exits with 1 where they do."""
    from .comparing import diff as run

    _end(run(db, a, b, today, flow, texts, json))


def tasks(db: Db = None, json: Json = False) -> None:
    """List what waits for a person's decision, the most urgent first."""
    from .people import tasks as run

    run(db, json)


def decide(
    conversation: Conversation,
    task: Annotated[int, typer.Argument(metavar="TASK", help="The task's number, as `interlock tasks` lists it.")],
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="One of the task's decisions.")],
    who: Annotated[str, typer.Option("--as", metavar="NAME", help="Who decides; it stands in the log.")],
    role: Annotated[list[str], typer.Option("--role", metavar="ROLE", help="A role you hold; may be repeated.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept as an erasable text.")] = "",
    shown: Annotated[
        str, typer.Option("--shown", metavar="DIGEST", help="What you were shown, as `interlock tasks` lists it.")
    ] = "",
    sign: Annotated[
        Path | None, typer.Option("--sign", metavar="FILE", help="Sign with this key (`interlock approver new`).")
    ] = None,
    meaning: Annotated[str, typer.Option("--meaning", metavar="TEXT", help="What your signature stands for.")] = "",
    flow: FlowOption = "",
    base_url: BaseUrl = "",
    model: Model = "",
    db: Db = None,
    json: Json = False,
) -> None:
    """Decide an open task as a person, and run what follows from it."""
    from .people import Place
    from .people import decide as run

    _end(
        run(
            Place(db, conversation, flow, base_url, model),
            task,
            decision,
            who,
            role,
            reason,
            shown,
            sign,
            meaning,
            as_json=json,
        )
    )


def resolve(
    conversation: Conversation,
    effect: Annotated[
        int, typer.Argument(metavar="EFFECT", help="The effect's number: the version of its request in the log.")
    ],
    how: Annotated[Ending, typer.Argument(help="Perform it again, or say how it ended.")],
    who: Annotated[str, typer.Option("--as", metavar="NAME", help="Who found out; it stands in the log.")] = "operator",
    flow: FlowOption = "",
    base_url: BaseUrl = "",
    model: Model = "",
    db: Db = None,
    json: Json = False,
) -> None:
    """Say what became of an effect that was begun and whose end nobody recorded."""
    from .people import Place
    from .people import resolve as run

    _end(run(Place(db, conversation, flow, base_url, model), effect, how.value, who, as_json=json))


def doctor(
    db: Db = None,
    full: Annotated[bool, typer.Option("--full", help="Verify every conversation, not only the newest 200.")] = False,
    ntp: Annotated[
        str,
        typer.Option("--ntp", metavar="HOST", envvar="INTERLOCK_NTP", help="Compare the clock with this time server."),
    ] = "",
    json: Json = False,
) -> None:
    """Examine the machine, the packages and the log: each finding is ok, warn or fail, with its fix."""
    from .doctor import doctor as run

    _end(run(db, full, ntp, json))


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
