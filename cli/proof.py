"""`interlock verify` and `interlock replay`: is the log intact, and would today's code decide the same?"""

import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..contracts.errors import CallError, KeyUnavailable
from ..persistence.evidence.anchors import AnchorFailed, kept_at
from ..persistence.evidence.checking import Attested, Outside, attested, document
from ..persistence.evidence.keys import SigningKey
from ..persistence.evidence.notes import NoteRefused, checkpoint_of, note_of, verifier_keys
from ..persistence.evidence.receipts import origin_of
from ..persistence.evidence.receipts import unkept as unkept_receipt
from ..persistence.sql_store import SqlStore
from ..persistence.verify import Verified
from ..service.archives import with_archives
from ..service.auditing import audited
from ..service.evidence import policy_in, policy_path, remembered, signing_key_path
from ..service.executing import collecting_seldom
from ..service.project import load_project
from ..service.wiring import db_path, found_flows
from .archiving import archives_of, archives_said
from .finding import existing_log, stream_named, streams_named
from .given import text_of, text_or_file
from .replaying import Replayed, replayed
from .terminal import MARKS, Terminal, counted, safe, write_json
from .unsigned import unsigned

PROVES = {
    "NOT SIGNED": "NOT SIGNED: nothing here is signed. Every change to an entry, and every entry missing between two "
    "others, is found; a log that was rewritten whole, or cut at its end, by somebody who may write the file is not: "
    "`interlock key new` and `interlock checkpoint` sign it. "
    "`interlock replay` may show a cut, where a decision stops in the middle.",
    "NO KEY": "NOT SIGNED, as far as can be seen: there are checkpoints, and no key that says whether they are "
    "genuine. Every change to an entry, and every entry missing between two others, is found all the same. Give the "
    "log's key, from its owner and not from this database: `--vkey`.",
    "ONE": "One conversation: the tree and what was signed are not looked at; leave its id out for the whole log.",
    "SELF-ATTESTED": "SELF-ATTESTED: every change to an entry, and every entry missing between two others, is found; "
    "so is a projection, a payload or a flow that says something else. What this cannot find is a log that was "
    "rewritten whole, or cut at its end together with its projection, by somebody who may write the file and has the "
    "signing key: that takes a checkpoint that others have (`interlock checkpoint --anchor`). "
    "`interlock replay` may show a cut, where a decision stops in the middle.",
    "ANCHORED": "ANCHORED: the checkpoints that you gave are of this very log, to its last entry: nothing that they "
    "cover was changed or cut, whoever has the signing key. What this cannot find is another log of the same name, "
    "shown to others.",
    "WITNESSED": "WITNESSED: the witnesses of your policy have signed that this log, to its last entry, extends all "
    "that they saw of it: nobody was shown another, unless they are in it together.",
}


AS_MADE = "Give the file as it was made or anchored; nothing was checked."


@dataclass(frozen=True, slots=True)
class Brought:
    """What the auditor brought along, as the command line names it."""

    vkeys: tuple[str, ...] = ()
    policy: Path | None = None
    heads: tuple[Path, ...] = ()
    anchors: tuple[str, ...] = ()
    receipts: tuple[Path, ...] = ()
    archives: tuple[Path, ...] = ()

    def policy_used(self, db: Path) -> str:
        """The policy file, given or found beside the log; empty where there is none."""
        place = policy_path(db, self.policy)
        return str(place) if place.is_file() else ""

    def outside(self, db: Path, log: str) -> Outside:
        """The log's own key stands in where no other is given: it says at least that the log is signed with it."""
        policy = policy_in(policy_path(db, self.policy), needed=self.policy is not None)
        given = tuple(key for one in self.vkeys for key in verifier_keys(text_or_file(one)))
        keys = tuple(key for key in given or policy.logs if key.name == log)
        if (given or policy.logs) and not keys:
            names = sorted({key.name for key in given or policy.logs})
            raise _of_another("The key", names[0], log, " ".join(self.vkeys)[:80] or str(policy_path(db, self.policy)))
        own = signing_key_path(db)
        if not keys and own.is_file():
            keys = SigningKey(own).verifiers()
        heads = [_head(one, log) for one in self.heads]
        for place in self.anchors:
            try:
                kept = [_checkpoint(one, log, str(place)) for one in kept_at(place).kept(log)]
            except AnchorFailed as error:  # the place's fault, and nothing that the log could answer for
                raise CallError(error.what, where=error.where, fix=error.fix) from error
            if not kept:
                raise CallError("No checkpoint of this log is there.", where=place, fix="Give the place of `--anchor`.")
            heads += kept
        return Outside(keys, policy, tuple(heads), remembered(db, log), bool(self.vkeys or policy.logs))


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around a verification: why texts could not be opened, and the policy file that was used, if any."""

    locked: str = ""
    policy: str = ""


def _head(path: Path, log: str) -> str:
    """A checkpoint that was got elsewhere. Raises `CallError` for one of another log, and for what is none."""
    return _checkpoint(text_of(path), log, str(path))


def _checkpoint(text: str, log: str, where: str) -> str:
    try:
        origin = checkpoint_of(note_of(text)).origin
    except NoteRefused as error:
        raise CallError(f"This is no checkpoint: {error.what}", where=where, fix=AS_MADE) from error
    if origin != log:
        raise _of_another("The checkpoint", origin, log, where)
    return text


def _receipt(path: Path, log: str) -> str:
    """A receipt that was handed out. Raises `CallError` for one of another log, and for what is none."""
    text = text_of(path)
    try:
        origin = origin_of(text)
    except NoteRefused as error:
        raise CallError(f"{error.what}", where=str(path), fix="Give the file as it was handed out.") from error
    if origin != log:
        raise _of_another("The receipt", origin, log, str(path))
    return text


def _of_another(what: str, origin: str, log: str, where: str) -> CallError:
    """What was brought along says nothing about this log, good or bad."""
    return CallError(
        f"{what} is of the log {origin!r}, and this log is {log!r}.",
        where=where,
        fix="Give this log's, or name the other database with --db; nothing was checked.",
    )


def verify(db: Path | None, prefix: str, as_json: bool, brought: Brought | None = None) -> int:
    """Say whether the log, or one conversation of it, is intact; 1 if it is not."""
    with existing_log(db) as store, collecting_seldom():
        misfits = tuple(map(str, store.misfits()))
        if misfits:
            return _unreadable(store.log, misfits, as_json)
        log, tree, brought = store.log, None, brought or Brought()
        outside = brought.outside(db_path(db), log)
        receipts = [(str(one), _receipt(one, log)) for one in brought.receipts]
        found = audited(store, streams=[stream_named(store, prefix)] if prefix else None)
        if not prefix:
            tree = with_archives(store, attested(store.tree(), outside), brought.archives)
        keys = outside.known if tree is None else tree.keys
        unkept = [unkept_receipt(store, keys, name, text, store.tree()) for name, text in receipts]
        around = Around(_locked(store) if found.unopened else "", brought.policy_used(db_path(db)))
        found = replace(found, beside=(*found.beside, *filter(None, unkept)))
    if as_json:
        write_json(verified_document(log, found, tree, around))
    else:
        _show_verified(log, found, tree, around)
    return 0 if found.ok and not (tree and tree.faults) else 1


def _unreadable(log: str, misfits: tuple[str, ...], as_json: bool) -> int:
    """Rows hold what their tables do not admit: that breaks the log, and nothing in it can be read for certain."""
    found = Verified(beside=misfits)
    write_json(verified_document(log, found)) if as_json else _show_verified(log, found, None, Around())
    return 1


def _locked(store: SqlStore[Any]) -> str:
    """Why texts could not be opened, and what to do: the key is missing, open to others, damaged, or another one;
    or the database's user may not read them."""
    if not store.reads_texts():
        return (
            "The database's user may not read what people wrote, so no text was looked at: whether it is there, and is "
            "the one that its entry commits to. Who may (interlock_app) finds that, and a bundle shows it."
        )
    try:
        store.try_key(every=True)
    except KeyUnavailable as error:
        return str(error)
    return ""


def verdict(found: Verified, tree: Attested | None) -> str:
    """How far the log is attested: BROKEN, NOT SIGNED (of one conversation always), SELF-ATTESTED, ..."""
    if not found.ok or (tree and tree.faults):
        return "BROKEN"
    return "NOT SIGNED" if tree is None else str(tree)


def verified_document(
    log: str, found: Verified, tree: Attested | None = None, around: Around | None = None
) -> dict[str, Any]:
    """`{"log", "attestation", "ok", "conversations", "events", "payloads", "erased", "unopened", "locked", "broken":
    [{"id", "version", "what"}]}`; of a whole log also `"tree"`, as `checking.document` gives it, and
    `"beside": ["what"]` where something does not hold that is of no conversation. `locked` says why texts could not be
    opened."""
    around = around or Around()
    said = {
        "log": log,
        "attestation": verdict(found, tree),
        "ok": found.ok and not (tree and tree.faults),
        "conversations": found.streams,
        "events": found.events,
        "payloads": found.payloads,
        "erased": found.erased,
        "unopened": found.unopened,
        "locked": around.locked or None,
        "broken": [{"id": one.stream, "version": one.version, "what": one.what} for one in found.broken],
    }
    if tree is not None:
        said |= {"tree": document(tree)["tree"] | {"policy": around.policy or None}}
    return said | ({"beside": list(found.beside)} if found.beside else {})


def _show_verified(log: str, found: Verified, tree: Attested | None, around: Around) -> None:
    terminal = Terminal()
    for one in found.broken:
        terminal.hang(
            terminal.text((MARKS.bad, "bold red")),
            (f"{one.stream} is broken at event {one.version}: ", "bold red"),
            (one.what, "red"),
        )
    for what in found.beside:
        terminal.hang(terminal.text((MARKS.bad, "bold red")), (safe(what, 1000), "red"))
    erased = f", {counted(found.erased, 'text')} erased (which breaks nothing)" if found.erased else ""
    if found.unopened:
        erased += f", {counted(found.unopened, 'text')} not opened"
    sign, style = (MARKS.good, "bold green") if found.ok else (MARKS.bad, "bold red")
    so_far = "" if not found.broken else " up to there"
    terminal.hang(
        terminal.text((sign, style)),
        f"log {log}: {counted(found.streams, 'conversation')}, {counted(found.events, 'event')} and "
        f"{counted(found.payloads, 'text')} hold{so_far}{erased}",
    )
    if around.locked:
        terminal.hang(terminal.text((MARKS.warn, "bold yellow")), (safe(around.locked, 1000), "yellow"))
    if tree is not None and (tree.checkpoints or tree.faults or tree.remarks):
        _show_tree(terminal, tree, verdict(found, tree), around.policy)
    if verdict(found, tree) == "BROKEN":
        terminal.hang(terminal.text((MARKS.bad, "bold red")), ("BROKEN", "bold red"))
        return
    proves = "ONE" if tree is None else "NO KEY" if tree.checkpoints and not tree.keys else tree.level
    terminal.hang(terminal.text((" ", "")), (PROVES[proves], "dim"))


def _show_tree(terminal: Terminal, tree: Attested, verdict: str, policy: str) -> None:
    for what in tree.faults:
        terminal.hang(terminal.text((MARKS.bad, "bold red")), (safe(what, 1000), "red"))
    for what in tree.remarks:
        terminal.hang(terminal.text((MARKS.warn, "bold yellow")), (safe(what, 1000), "yellow"))
    sign, style = (MARKS.bad, "bold red") if tree.faults else (MARKS.good, "bold green")
    waiting = f", {tree.waiting} more not yet in it" if tree.waiting else ""
    covers = [("signed", tree.signed), ("anchored", tree.anchored), ("witnessed", tree.witnessed)]
    said = ", ".join(f"{name} up to {count}" for name, count in covers if count)
    if tree.archives:
        looked = f" Looked at: {', '.join(tree.looked_at)}." if tree.looked_at else ""
        rest = "" if set(tree.looked_at) >= set(tree.archives) else " `--archive PATH` looks at what is there."
        counts = f"{counted(tree.archived, 'event')} of the tree {'is' if tree.archived == 1 else 'are'} not here."
        terminal.hang(terminal.text((MARKS.dot, "dim")), f"{archives_said(tree.archives)} {counts}{looked}{rest}")
    terminal.hang(
        terminal.text((sign, style)),
        f"tree of {counted(tree.leaves, 'leaf', 'leaves')}{waiting}: {said or unsigned(tree)}; ",
        (verdict, "bold"),
        *([f", by the policy in {safe(policy, 500)}"] if policy else []),
    )


def replay(db: Path | None, prefixes: list[str], every: bool, flow: str, as_json: bool) -> int:
    """Decide conversations again; 1 if any decision differs or cannot be made."""
    if bool(prefixes) == every:
        raise CallError("Say which conversations to replay.", fix="Give the beginnings of their ids, or --all.")
    with existing_log(db) as store:
        given = load_project(flow) if flow else None
        streams = list(store.streams()) if every else streams_named(store, prefixes)
        flows = found_flows(store, given)
        if every and given is not None:
            mine = {digest for digest, one in flows.items() if one.project is given}
            streams = [one for one in streams if (found := store.summary(one)) and found.flow_digest in mine]
        results = replayed(store, flows, streams)
        archives = archives_of(store.archived()) if every else {}
    if as_json:
        write_json(replayed_document(results) | ({"archived": archives} if archives else {}))
    else:
        _show_replayed(results)
        if archives:
            Terminal().line((archives_said(archives), "dim"))
    return 0 if all(one.holds for one in results) else 1


def replayed_document(results: tuple[Replayed, ...]) -> dict[str, Any]:
    """`{"same", "conversations", "events", "decisions", "divergences", "model_calls", "milliseconds",
    "replayed": [{"id", "flow", "digest", "events", "decisions", "divergences", "first", "flow_today",
    "code_today", "problem"}]}`, and where conversations were
    pruned `"archived": {archive: how many}`: `flow_today` and `code_today` name what is another today."""
    return {
        "same": all(one.holds for one in results),
        "conversations": len(results),
        "events": sum(one.events for one in results),
        "decisions": sum(one.decisions for one in results),
        "divergences": sum(one.divergences for one in results),
        "model_calls": 0,
        "milliseconds": round(sum(one.milliseconds for one in results), 1),
        "replayed": [
            {
                "id": one.stream,
                "flow": one.flow,
                "digest": one.digest,
                "events": one.events,
                "decisions": one.decisions,
                "divergences": one.divergences,
                "first": None
                if one.first is None
                else {"version": one.first.version, "recorded": one.first.recorded, "today": one.first.decided},
                "flow_today": one.changed or None,
                "code_today": one.code or None,
                "problem": one.problem or None,
                **({"imported": True} if one.imported else {}),
            }
            for one in results
        ],
    }


def differing(recorded: str, decided: str) -> list[tuple[str, str, str]]:
    """(field, recorded, today) of what differs between two events in JSON; `event` where one is missing."""
    if "nothing" in (recorded, decided):
        return [("event", recorded, decided)]
    was, now = json.loads(recorded), json.loads(decided)
    if was["type"] != now["type"]:
        return [("event", was["type"], now["type"])]
    names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
    if not names:
        return [("envelope", "the same event", "with other metadata")]
    return [(name, json.dumps(was.get(name)), json.dumps(now.get(name))) for name in names]


def _show_replayed(results: tuple[Replayed, ...]) -> None:
    terminal = Terminal()
    for one in results:
        if one.holds:
            continue
        lead = terminal.text((MARKS.bad, "bold red"))
        if one.problem:
            terminal.hang(lead, (f"{one.stream[:8]} ({one.flow}) cannot be decided again: ", "bold"), safe(one.problem))
        elif one.first is not None:
            many = counted(one.divergences, "decision differs", "decisions differ")
            terminal.hang(
                lead, (f"{one.stream[:8]} ({one.flow}): {many}, the first at event {one.first.version}", "bold")
            )
            for name, was, now in differing(one.first.recorded, one.first.decided):
                terminal.hang(
                    terminal.text((name, "dim")),
                    safe(f"recorded {was}", 300),
                    ("; ", "dim"),
                    safe(f"today {now}", 300),
                    indent=2,
                )
    for digest, today, flow in sorted({(one.digest, one.changed, one.flow) for one in results if one.changed}):
        terminal.hang(
            terminal.text((MARKS.warn, "bold yellow")),
            f"{flow} stands in its file with digest {today[:12]} today; these conversations are pinned to "
            f"{digest[:12]} and were decided with that, as the log keeps it, and with today's code.",
        )
    brought = [one for one in results if one.imported and one.holds]
    if brought:
        terminal.hang(
            terminal.text((MARKS.dot, "dim")),
            f"{counted(len(brought), 'conversation')} imported: nothing to decide again",
        )
    _show_codes(terminal, results)
    good = all(one.holds for one in results)
    results = tuple(one for one in results if not one.imported)
    if not results and brought:
        return
    terminal.hang(
        terminal.text((MARKS.good, "bold green") if good else (MARKS.bad, "bold red")),
        f"{counted(len(results), 'conversation')}: ",
        f"{counted(sum(one.decisions for one in results), 'decision')} made again, "
        f"{counted(sum(one.events for one in results), 'event')} compared byte for byte; ",
        (counted(sum(one.divergences for one in results), "divergence") + ", 0 model calls", "bold"),
        f", {sum(one.milliseconds for one in results):.0f} ms",
    )


def _show_codes(terminal: Terminal, results: tuple[Replayed, ...]) -> None:
    """Which code decided, where today's is another."""
    for code, number in Counter(one.code for one in results if one.code).items():
        terminal.hang(
            terminal.text((MARKS.warn, "bold yellow")),
            f"{counted(number, 'conversation was', 'conversations were')} decided by other code: {safe(code, 300)}.",
        )
