"""`interlock export --bundle`: conversations with everything that an outsider needs to check them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from ..contracts.canonical import parsed
from ..contracts.errors import CallError
from ..contracts.payload import PayloadClass
from ..contracts.store import Store
from ..contracts.values import listed
from ..persistence.evidence import verify_bundle
from ..persistence.evidence.bundle import Selection, bundled
from ..persistence.evidence.notes import NoteRefused, checkpoint_of, note_of
from ..persistence.evidence.policy import Policy
from ..persistence.evidence.tiles import written_to
from ..service.evidence import checkpointer_of, policy_in, policy_path, signing_key
from ..service.missing import Accounts
from ..service.wiring import db_path
from .finding import existing_log, stream_named, streams_named
from .given import text_of
from .seeing import noted_reading
from .terminal import MARKS, Terminal, counted, write_json

ATTEMPTS = 5
"""A checkpoint is made anew where entries came between it and the export."""


def bundle(
    db: Path | None,
    prefixes: Sequence[str],
    *,
    every: bool,
    path: Path,
    disclose: Sequence[str],
    since: Sequence[Path],
    key: Path | None,
    policy: Path | None,
    as_json: bool,
) -> int:
    """Write the bundle and check it with its own verifier; 1 if that finds anything."""
    if bool(prefixes) == every:
        raise CallError("Say what to export.", fix="Give the beginnings of conversations' ids, or --all.")
    place = db_path(db)
    with existing_log(db) as store:
        tree, signer = store.tree(), signing_key(place, store.log, key)
        given = policy_in(policy_path(place, policy), needed=policy is not None)
        own = signer.verifiers()
        logs = (*own, *(one for one in given.logs if one not in own))
        trusted = Policy(logs, given.witnesses, given.groups, given.quorum)
        selection = Selection(
            None if every else tuple(_with_children(store, streams_named(store, prefixes))),
            tuple(_whole_names(store, one) for one in disclose) or ("all",),
            tuple(map(_size_of, since)),
        )
        signing = checkpointer_of(place, tree, key=key, policy=policy)
        _checked_disclosure(store, selection)
        with written_to(path) as put:
            for attempt in range(ATTEMPTS):
                signing.checkpoint_told()
                with tree.sequencing():
                    if tree.checkpoints()[-1][0] == tree.size() or attempt == ATTEMPTS - 1:
                        bundled(store, tree, signer.signers, trusted, selection, put, lost=Accounts(store).lost)
                        break
            # All is written, and it has its name only when the reading is on the record. Behind the checkpoint: the
            # bundle ends where an anchor may be.
            noted_reading(store, _read_of(selection), "export")
    found = verify_bundle.check(
        verify_bundle.read(path), verify_bundle.Trust(policy=verify_bundle.Policy(str(trusted)))
    )
    _show(path, found, as_json)
    return 1 if found.faults else 0


def _with_children(store: Store, streams: Sequence[str]) -> Sequence[str]:
    """The conversations, and those that they began: a case is not told without them."""
    found, there = list(dict.fromkeys(streams)), set(store.streams())
    for stream in found:  # grows as it goes
        for entry in store.read(stream):
            if b'"type":"subflow_started"' in entry.data:
                child = parsed(entry.data)["data"]["child"]
                if child in there and child not in found:
                    found.append(child)
    return found


def _whole_names(store: Store, disclosed: str) -> str:
    """`47207:reply` with the conversation's whole id; what names no conversation stays as it is."""
    place, colon, name = disclosed.rpartition(":")
    if not colon:
        return disclosed
    prefix, slash, version = place.partition("/")
    if slash and not version.isdecimal():
        raise CallError(
            f"--disclose {disclosed[:40]!r} names no event.",
            fix="Write CONVERSATION/EVENT:TEXT, with the event's number as `interlock log` shows it.",
        )
    return f"{stream_named(store, prefix)}{slash}{int(version) if slash else ''}:{name}"


def _read_of(selection: Selection) -> Sequence[str]:
    """The conversations of which texts are disclosed; `*` for all that there are."""
    places = [place.partition("/")[0] for place, _, name in _parted(selection) if name != "none"]
    if "" in places:
        return selection.streams or ("*",)
    return sorted(set(places))


def _parted(selection: Selection) -> list[tuple[str, str, str]]:
    return [one.rpartition(":") for one in selection.disclose]


def _size_of(path: Path) -> int:
    """The size of the checkpoint in a file. Raises `CallError` where there is none."""
    try:
        return checkpoint_of(note_of(text_of(path))).size
    except NoteRefused as error:
        raise CallError(f"{error.what}", where=str(path), fix="Give the checkpoint as you got it.") from error


def _checked_disclosure(store: Store, selection: Selection) -> None:
    """Raises `CallError` for what is no class of texts and no text's name, or is not there: it would disclose
    nothing."""
    classes = ("all", "none", *get_args(PayloadClass))
    _refuse_contradictions(selection)
    streams = store.streams() if selection.streams is None else selection.streams
    for place, colon, name in _parted(selection):
        if not colon and name in classes:
            continue
        stream, slash, version = place.partition("/")
        if colon and stream not in streams:
            raise CallError(
                f"--disclose names the conversation {stream!r}, which is not exported.",
                fix="Export it too, or leave it out.",
            )
        chosen = [stream] if colon else streams
        texts = [(at.version, payload) for one in chosen for at, payload in store.payloads(one).items()]
        if name not in classes and name not in {payload.name for _, payload in texts}:
            raise CallError(
                f"--disclose {name[:40]!r} is no class of texts, and no text here has that name.",
                fix=f"Give {', '.join(classes)}, or a text's name.",
            )
        if slash and int(version) not in {at for at, _ in texts}:
            raise CallError(
                f"Event {version} of {stream!r} brought no text.",
                fix=f"Name one of {listed(str(at) for at in sorted({at for at, _ in texts}))}.",
            )


def _refuse_contradictions(selection: Selection) -> None:
    """Raises `CallError` where one of several says `all` or `none`: they add up, so `none` would take nothing away."""
    if len(set(selection.disclose)) == 1:
        return
    for one in selection.disclose:
        if one in ("all", "none") or one.endswith(":none"):
            raise CallError(
                f"--disclose {one} stands beside others, which it contradicts.",
                fix="Give it alone, or only what is to be disclosed: the rest is withheld.",
            )


def _show(path: Path, found: Any, as_json: bool) -> None:
    if as_json:
        write_json({"bundle": str(path), **found.document()})
        return
    terminal = Terminal()
    for fault in found.faults:
        terminal.hang(terminal.text((MARKS.bad, "bold red")), (fault, "red"))
    texts = f"{counted(found.disclosed, 'text')} disclosed, {found.withheld} not"
    texts += f", {found.erased} erased" if found.erased else ""
    what = f"{counted(found.conversations, 'conversation')}, {counted(found.entries, 'event')}, {texts}"
    sign = (MARKS.bad, "bold red") if found.faults else (MARKS.good, "bold green")
    terminal.hang(terminal.text(sign), (f"{path}: ", "bold"), f"{what}; {found}")
    terminal.line(("Checked by `python verify_bundle.py BUNDLE --key VKEY`, without Interlock.", "dim"), indent=2)


def check(path: Path, options: Mapping[str, Sequence[object]], *, as_json: bool) -> int:
    """Check a bundle, as `verify_bundle.py` does with these options, each with its values; with its exit code."""
    if store := next((one for one in options.get("anchors", ()) if "://" in str(one)), ""):
        fix = "Copy the checkpoints to a folder with the store's own tool, and give that."
        raise CallError("A bundle is checked without a network.", where=f"--anchors {store}", fix=fix)
    words = [str(path), *(["--json"] if as_json else [])]
    words += [f"--{option}={value}" for option, values in options.items() for value in values]
    return int(verify_bundle.main(words))
