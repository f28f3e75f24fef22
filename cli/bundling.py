"""`interlock export --bundle`: conversations with everything that an outsider needs to check them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from ..contracts.errors import CallError
from ..contracts.payload import PayloadClass
from ..contracts.store import Store
from ..persistence.evidence import verify_bundle
from ..persistence.evidence.bundle import Selection, bundled
from ..persistence.evidence.notes import checkpoint_of, note_of
from ..persistence.evidence.policy import Policy
from ..persistence.evidence.tiles import written_to
from ..service.evidence import checkpointer_of, policy_in, policy_path, signing_key
from ..service.wiring import db_path
from .finding import existing_log, streams_named
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
            None if every else tuple(streams_named(store, prefixes)),
            tuple(disclose) or ("all",),
            tuple(checkpoint_of(note_of(one.read_text("utf-8"))).size for one in since),
        )
        signing = checkpointer_of(place, tree, key=key, policy=policy)
        _checked_disclosure(store, selection)
        with written_to(path) as put:
            for attempt in range(ATTEMPTS):
                signing.checkpoint()
                with tree.sequencing():
                    if tree.checkpoints()[-1][0] == tree.size() or attempt == ATTEMPTS - 1:
                        bundled(store, tree, signer.signers, trusted, selection, put)
                        break
            if selection.disclose != ("none",):
                # All is written, and it has its name only when the reading is on the record. Behind the checkpoint:
                # the bundle ends where an anchor may be.
                noted_reading(store, "*" if every else selection.streams or (), "export")
    found = verify_bundle.check(
        verify_bundle.read(path), verify_bundle.Trust(policy=verify_bundle.Policy(str(trusted)))
    )
    _show(path, found, as_json)
    return 1 if found.faults else 0


def _checked_disclosure(store: Store, selection: Selection) -> None:
    """Raises `CallError` for what is no class of texts and no text's name: it would disclose nothing."""
    classes = ("all", "none", *get_args(PayloadClass))
    unknown = [one for one in selection.disclose if one not in classes]
    if not unknown:
        return
    streams = store.streams() if selection.streams is None else selection.streams
    names = {payload.name for stream in streams for payload in store.payloads(stream).values()}
    for one in unknown:
        if one not in names:
            raise CallError(
                f"--disclose {one[:40]!r} is no class of texts, and no text here has that name.",
                fix=f"Give {', '.join(classes)}, or a text's name.",
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


def check(
    path: Path,
    keys: Sequence[str],
    policy: Path | None,
    heads: Sequence[Path],
    anchors: Sequence[Path],
    receipts: Sequence[Path],
    as_json: bool,
) -> int:
    """Check a bundle, as `verify_bundle.py` does, with its exit code."""
    words = [str(path), *(["--json"] if as_json else []), *(["--policy", str(policy)] if policy else [])]
    for option, values in (("--key", keys), ("--head", heads), ("--anchors", anchors), ("--receipt", receipts)):
        words += [word for value in values for word in (option, str(value))]
    return int(verify_bundle.main(words))
