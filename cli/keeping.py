"""`interlock erase`, `hold`, `retain`, `access` and `keys`: keeping a log as the law asks, each act on the record."""

from pathlib import Path
from typing import Any

from ..contracts.errors import CallError
from ..contracts.keeping import Act
from ..contracts.values import written_time
from ..persistence.keyfile import KeyFile
from ..persistence.protecting import clear_payloads
from ..service import keys
from ..service.erasing import Eraser, Erasing, Extent
from ..service.journal import Journal, Recorded
from ..service.retention import Overdue, Retention, policy_in
from .finding import existing_log, stream_named, writable_log
from .keeping_words import words_of
from .seeing import acting, checked_ground
from .terminal import MARKS, Terminal, counted, safe, write_json

HELD = 2
"""The exit code where an erasure is refused, by a hold or as it was called: of a dry run as of the real one."""
WAITS = 1
"""The exit code of an erasure that others must approve first."""

# -- erase ----------------------------------------------------------------------------------------------


def erase(
    db: Path | None,
    subject: str,
    who: str,
    ground: str,
    *,
    approve: bool,
    approvals: int,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Ask, approve and finish, as far as it goes now; 1 where others must approve first."""
    by, ground = acting(who), checked_ground(ground)
    with writable_log(db) as store:
        eraser = Eraser(store)
        extent = eraser.extent(subject)
        if dry_run:
            waiting = eraser.waiting(subject)
            return _shown_extent(extent, waiting, _would_end(extent, waiting, by, approve, approvals), as_json)
        if approve:
            erasing = eraser.approve(subject, by=by)
        else:
            erasing = eraser.ask(subject, by=by, ground=checked_ground(ground, needed=True), approvals=approvals)
        before = erasing.done
        done = eraser.finish(erasing) if erasing.is_approved else None
    document = {
        **_extent_document(extent),
        "request": erasing.request.number,
        "approvals": {"needed": erasing.asked.approvals, "by": list(erasing.approved)},
        "already": before is not None,
        "erased": None if done is None else {"conversations": done.conversations, "payloads": done.payloads},
    }
    if as_json:
        write_json(document)
    elif before is not None:
        Terminal().line(
            f"{safe(subject)} was erased already, and has written nothing since (record {erasing.request.number}); "
            "nothing was done."
        )
    else:
        _show_erasing(erasing, None if done is None else (done.conversations, done.payloads), extent)
    return 0 if done is not None else WAITS


def _extent_document(extent: Extent) -> dict[str, Any]:
    """`{"subject", "conversations": [id], "payloads", "holds": [number]}`, and where there are any `"archived": [{"id",
    "archive"}]`."""
    return {
        "subject": extent.subject,
        "conversations": list(extent.conversations),
        "payloads": sum(extent.payloads.values()),
        "holds": sorted(extent.holds),
        **(
            {"archived": [{"id": one.stream, "archive": one.archive} for one in extent.archived]}
            if extent.archived
            else {}
        ),
    }


def _would_end(extent: Extent, waiting: Erasing | None, by: str, approve: bool, approvals: int) -> int:
    """The exit code that the real command would have."""
    if extent.holds:
        return HELD
    if waiting is None:
        return HELD if approve else WAITS if approvals > 1 else 0
    people = {one.casefold() for one in waiting.approved}
    if approve and by.casefold() in people:
        return HELD
    return 0 if len(people) + approve >= waiting.asked.approvals else WAITS


def _shown_extent(extent: Extent, waiting: Erasing | None, code: int, as_json: bool) -> int:
    """The extent, and the request for it that waits: `"waiting": {"record", "needed", "by": [name]}`, or null."""
    document = _extent_document(extent)
    document["waiting"] = None
    if waiting is not None:
        asked = {"needed": waiting.asked.approvals, "by": list(waiting.approved)}
        document["waiting"] = {"record": waiting.request.number, **asked}
    if as_json:
        write_json(document)
    else:
        terminal = Terminal()
        terminal.line(
            f"{counted(document['payloads'], 'text')} in {counted(len(extent.conversations), 'conversation')} would "
            "go, with their keys. Entries, hashes, proofs and routes stay."
        )
        _show_archived(terminal, extent)
        if waiting is not None:
            terminal.line(
                f"A request for it waits already, record {waiting.request.number}: approved by "
                f"{len(waiting.approved)} of {waiting.asked.approvals} ({', '.join(map(safe, waiting.approved))})."
            )
        for number, one in extent.holds.items():
            terminal.line((f"Hold {number} stands against it: {safe(one.ground)}", "bold red"))
        if code == WAITS:
            terminal.line("It would wait until others approve.")
    return code


def _show_archived(terminal: Terminal, extent: Extent) -> None:
    if extent.archived:
        names = ", ".join(sorted({one.archive for one in extent.archived}))
        terminal.line(
            f"{counted(len(extent.archived), 'conversation')} more {'is' if len(extent.archived) == 1 else 'are'} "
            f"archived in {names}: nobody can open the texts there without the keys. An archive that was written with "
            "`--texts clear` holds them all the same: delete it, or that conversation's file in it."
        )


def _show_erasing(erasing: Erasing, done: tuple[int, int] | None, extent: Extent) -> None:
    terminal = Terminal()
    if done is not None:
        terminal.hang(
            terminal.text((MARKS.good, "bold green")),
            f"erased {counted(done[1], 'text')} in {counted(done[0], 'conversation')}, with their keys; nothing of "
            "them is left in the database. Backups keep what they hold until they run out: the keys are in them, too.",
        )
        _show_archived(terminal, extent)
        return
    asked = erasing.asked
    terminal.hang(
        terminal.text(("…", "bold yellow")),
        f"{len(erasing.approved)} of {asked.approvals} people have approved ({', '.join(erasing.approved)}). Another "
        "one runs ",
        (f"interlock erase --subject {asked.subject} --approve --as NAME", "green"),
    )


# -- hold and retain ------------------------------------------------------------------------------------


def hold(
    db: Path | None, subject: str, conversation: str, release: int | None, who: str, ground: str, *, as_json: bool
) -> None:
    """Place a hold, end one, or list those that stand."""
    if sum((bool(subject), bool(conversation), release is not None)) > 1:
        raise CallError("Say one thing at a time.", fix="Give --subject, --conversation or --release.")
    with writable_log(db) as store:
        journal = Journal(store)
        if subject or conversation or release is not None:
            from ..service.holding import placed, released

            ground = checked_ground(ground, needed=True)
            if release is not None:
                released(journal, release, by=acting(who), ground=ground)
            else:
                stream = stream_named(store, conversation) if conversation else None
                placed(journal, subject=subject or None, conversation=stream, by=acting(who), ground=ground)
        standing = [
            {"number": number, **one.model_dump(mode="json", exclude={"type"}, exclude_none=True)}
            for number, one in journal.holds().items()
        ]
    if as_json:
        write_json({"holds": standing})
        return
    terminal = Terminal()
    for one in standing:
        of = f"subject {one['subject']}" if "subject" in one else f"conversation {one['conversation']}"
        terminal.line(f"Hold {one['number']} on {safe(of)}, by {one['by']}: {safe(one['ground'])}")
    if not standing:
        terminal.line("No hold stands.")


def retain(db: Path | None, policy: Path, who: str, ground: str, *, dry_run: bool, as_json: bool) -> None:
    """Delete what is overdue, or say what would be."""
    given, by = policy_in(policy), acting(who)
    with writable_log(db) as store:
        retention = Retention(store, given)
        found = retention.overdue() if dry_run else retention.prune(by=by, ground=checked_ground(ground))
    if as_json:
        write_json(_overdue_document(found, given.digest, dry_run))
        return
    terminal = Terminal()
    kinds = ", ".join(f"{count} {kind}" for kind, count in found.kinds.items())
    terminal.line(
        f"{counted(len(found.places), 'text')} of {counted(found.conversations, 'conversation')} "
        f"{'would be' if dry_run else 'were'} deleted{f' ({kinds})' if kinds else ''}; "
        f"{counted(found.held, 'text')} more {'is' if found.held == 1 else 'are'} held."
    )
    if found.open:
        stays, has = "stays" if found.open == 1 else "stay", "has" if found.unended == 1 else "have"
        terminal.line(
            f"{counted(found.open, 'text')} over time {stays}: {counted(found.unended, 'conversation')} {has} not "
            "ended. `interlock tasks` lists what waits for a person, a running service acts on deadlines that have "
            "passed, and `interlock erase` takes a person's texts whatever is open."
        )


def _overdue_document(found: Overdue, digest: str, dry_run: bool) -> dict[str, Any]:
    """`{"policy", "dry_run", "payloads", "conversations", "kinds": {kind: count}, "held", "open", "unended"}`: `open`
    texts stay over their time, of `unended` conversations."""
    return {
        "policy": digest,
        "dry_run": dry_run,
        "payloads": len(found.places),
        "conversations": found.conversations,
        "kinds": dict(found.kinds),
        "held": found.held,
        "open": found.open,
        "unended": found.unended,
    }


# -- access ---------------------------------------------------------------------------------------------


def access(db: Path | None, limit: int, *, as_json: bool) -> None:
    """The acts of people on the log, the newest first."""
    with existing_log(db) as store:
        found = list(Journal(store).acts())[-limit:][::-1]
    if as_json:
        write_json({"acts": [_act_document(one) for one in found]})
        return
    terminal = Terminal()
    if not found:
        terminal.line("Nobody has read, erased, held or changed anything.")
        return
    rows = [
        [str(one.number), written_time(one.at)[:19].replace("T", " "), _by(one.act), safe(words_of(one.act), 300)]
        for one in found
    ]
    terminal.table(["record", "at (UTC)", "who", "what and why"], rows, right=(0,), whole=(0, 1))


def _by(act: Act) -> str:
    return str(getattr(act, "by", "interlock"))


def _act_document(one: Recorded) -> dict[str, Any]:
    """`{"record", "at", "leaf", "type", ...the act's own}`."""
    return {
        "record": one.number,
        "at": written_time(one.at),
        "leaf": one.leaf.hex(),
        **one.act.model_dump(mode="json", exclude_none=True),
        "says": words_of(one.act),
    }


# -- keys -----------------------------------------------------------------------------------------------


def show_keys(db: Path | None, *, as_json: bool) -> int:
    """Which keys there are; 1 where texts lie in clear."""
    with existing_log(db) as store:
        clear, data_keys = clear_payloads(store), store.describe().counts["data_keys"]
        master = store.master
        file = str(master.path) if isinstance(master, KeyFile) else ""
        ids = master.ids() if isinstance(master, KeyFile) and master.exists() else ()
    if as_json:
        write_json({"file": file, "master_keys": list(ids), "data_keys": data_keys, "in_clear": clear})
    else:
        terminal = Terminal()
        terminal.line(f"{file}: {counted(len(ids), 'master key')}{f' ({ids[-1]} wraps)' if ids else ''}")
        terminal.line(f"{counted(data_keys, 'data key')}, one a person; {counted(clear, 'text')} in clear")
    return 1 if clear else 0


def encrypt(db: Path | None, who: str, *, as_json: bool) -> None:
    with writable_log(db) as store:
        count = keys.encrypt(store, by=acting(who))
    write_json({"encrypted": count}) if as_json else Terminal().line(f"{counted(count, 'text')} encrypted.")


def rotate(db: Path | None, who: str, ground: str, *, as_json: bool) -> None:
    ground = checked_ground(ground, needed=True)
    with writable_log(db) as store:
        count = keys.rotate(store, by=acting(who), ground=ground)
    if as_json:
        write_json({"rewrapped": count})
    else:
        Terminal().line(
            f"{counted(count, 'data key')} wrapped by a new master key. Back the key file up; backups of the log from "
            "before need the old one."
        )
