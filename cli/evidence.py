"""`interlock checkpoint`, `receipt`, `key` and `witness`: what is signed, by whom, and who has seen it."""

import json
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from threading import Event
from typing import Any

from ..contracts.errors import CallError, InterlockError, SetupError
from ..persistence.evidence.keys import SigningKey, new_key
from ..persistence.evidence.notes import COSIGNATURE, ED25519, ML_DSA, verifier_keys
from ..persistence.evidence.receipts import receipt as receipt_note
from ..persistence.evidence.witnessing import Answer, Witness
from ..service.checkpointing import Checkpointer, Signed
from ..service.evidence import anchors_at, checkpointer_of, memory_of, signing_key, signing_key_path
from ..service.wiring import db_path
from ..service.witnesses import served
from .finding import existing_log, stream_named, writable_log
from .given import text_or_file
from .standing import check_version
from .terminal import MARKS, Terminal, counted, safe, write_json


def checkpoint(
    db: Path | None,
    key: Path | None,
    policy: Path | None,
    anchors: Sequence[str],
    authorities: Sequence[str],
    *,
    watch: bool,
    as_json: bool,
) -> int:
    """1 if a witness or an anchor did not take it; the checkpoint stands. `watch` goes on until it is stopped, and
    tells of each; its code is that of the last."""
    with existing_log(db) as store:
        places = anchors_at(anchors, authorities)
        signing = checkpointer_of(db_path(db), store.tree(), key=key, policy=policy, anchors=places)
        found = signing.checkpoint()
        if watch:
            return _watch(signing, found, as_json)
        _show(found, as_json)
    return 1 if found.failures else 0


def _watch(signing: Checkpointer, first: Signed, as_json: bool) -> int:
    """Sign until Ctrl-C or SIGTERM, then once more over everything."""
    stop, codes = Event(), [0]

    def tell(found: Signed | InterlockError) -> None:
        codes.append(1 if isinstance(found, InterlockError) or found.failures else 0)
        _tell(found, as_json)

    stopping = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(one, lambda *_: stop.set()) for one in stopping]
    try:
        tell(first)
        signing.start(tell=tell)
        while not stop.wait(1.0):
            pass
        signing.close()
    finally:
        for one, was in zip(stopping, before, strict=True):
            signal.signal(one, was)
    return codes[-1]


def _tell(found: Signed | InterlockError, as_json: bool) -> None:
    """One line of what happened, for who reads them all: a JSON document to stdout, or words to stderr."""
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(found, InterlockError):
        lines = [f"{when} {MARKS.bad} {safe(found.what)} {safe(found.fix)}".rstrip()]
    else:
        lines = [f"{when} {MARKS.good} {_signed_words(found)}"]
        lines += (f"{when} {MARKS.bad} {safe(one)}" for one in found.failures)
        if as_json:
            sys.stdout.write(json.dumps(checkpoint_document(found)) + "\n")
            sys.stdout.flush()
            lines = lines[1:]
    sys.stderr.write("".join(f"{one}\n" for one in lines))
    sys.stderr.flush()


def _signed_words(found: Signed) -> str:
    was = "" if found.fresh else "; nothing is new since it was signed"
    size = counted(found.checkpoint.size, "leaf", "leaves")
    return f"{size}, {counted(len(found.note.signatures), 'signature')}{was}"


def checkpoint_document(found: Signed) -> dict[str, Any]:
    """`{"origin", "size", "root", "fresh", "compared_from", "note", "failures"}`: `fresh` is false where nothing was
    new; leaves from `compared_from` on were compared with their entries."""
    one = found.checkpoint
    return {
        "origin": one.origin,
        "size": one.size,
        "root": one.root.hex(),
        "fresh": found.fresh,
        "compared_from": found.compared_from,
        "note": str(found.note),
        "failures": list(found.failures),
    }


def _show(found: Signed, as_json: bool) -> None:
    if as_json:
        write_json(checkpoint_document(found))
        return
    sys.stdout.write(str(found.note))
    terminal = Terminal(error=True)
    terminal.hang(terminal.text((MARKS.good, "bold green")), _signed_words(found))
    if found.compared_from:
        seen = (
            f"Leaves from {found.compared_from} on were compared with their entries; `interlock verify` compares all."
        )
        terminal.line((seen, "dim"))
    for failure in found.failures:
        terminal.hang(terminal.text((MARKS.bad, "bold red")), (failure, "red"))


def receipt(db: Path | None, key: Path | None, prefix: str, version: int | None) -> None:
    """Print the receipt of an event."""
    with writable_log(db) as store:
        stream = stream_named(store, prefix)
        length = store.head(stream).length
        version = length - 1 if version is None else version
        check_version(stream, version, length)
        signer = signing_key(db_path(db), store.log, key)
        memory_of(signer, store.log).read()
        note = receipt_note(store, signer.signers, stream, version)
    sys.stdout.write(str(note))


# -- keys -----------------------------------------------------------------------------------------------


def key_new(db: Path | None, key: Path | None, *, ml_dsa: bool, as_json: bool) -> None:
    with writable_log(db) as store:
        if signed_before := store.tree().checkpoints():
            raise SetupError(
                f"This log is signed already (the last checkpoint has {signed_before[-1][0]} leaves): a second key "
                "would sign what nobody believes.",
                where=store.log,
                fix="Give its key with --key or INTERLOCK_SIGNING_KEY, and change it with `interlock key rotate --to "
                "FILE`. If it is lost, begin a new log, and keep this one as it is.",
            )
        made = new_key(signing_key_path(db_path(db), key), store.log, *_kinds(ml_dsa))
    _show_key(made, as_json, f"Keep the file where the database's administrator cannot read it; give {_lines(made)} to")


def _kinds(ml_dsa: bool) -> tuple[int, ...]:
    return (ED25519, ML_DSA) if ml_dsa else (ED25519,)


def _lines(key: SigningKey) -> str:
    return "the line above" if len(key.signers) == 1 else "both lines above"


def key_show(db: Path | None, key: Path | None, as_json: bool) -> None:
    found = SigningKey(signing_key_path(db_path(db), key))
    successor = memory_of(found, found.verifier().name).retired_for()
    _show_key(found, as_json, f"Give {_lines(found)} to", successor)


def key_rotate(db: Path | None, key: Path | None, to: Path, *, ml_dsa: bool, as_json: bool) -> None:
    """The new key is made, recorded and in force on return. It is of ML-DSA-44 too where the old one is."""
    with writable_log(db) as store:
        place = db_path(db)
        both = ml_dsa or len(signing_key(place, store.log, key).signers) > 1
        signing = checkpointer_of(place, store.tree(), key=key)
        signing.refuse_another_key()
        made = new_key(to, store.log, *_kinds(both))
        signing.rotate(memory_of(made, store.log), *made.signers, place=str(to.resolve()))
    says = f"The log signs with this key now: set INTERLOCK_SIGNING_KEY={to}, or give it with --key. Tell"
    _show_key(made, as_json, says)


def witness_key(name: str, key: Path, *, ml_dsa: bool, as_json: bool) -> None:
    made = new_key(key, name, ML_DSA if ml_dsa else COSIGNATURE)
    _show_key(made, as_json, "Give the line above to the logs' owners, and to")


def _show_key(key: SigningKey, as_json: bool, says: str, successor: str | None = None) -> None:
    """`successor` is where the key lies that this one was changed for; None where it is in force."""
    if as_json:
        more: dict[str, Any] = {"ml_dsa": str(key.verifiers()[1])} if len(key.signers) > 1 else {}
        if successor is not None:
            more |= {"retired": True, "successor": successor or None}
        write_json({"key": str(key.verifier()), **more, "file": str(key.path)})
        return
    sys.stdout.write("".join(f"{one}\n" for one in key.verifiers()))
    terminal = Terminal(error=True)
    terminal.hang(terminal.text(("file", "dim")), str(key.path))
    if successor is not None:
        by = f"This key was changed for another{f', {successor}' if successor else ''}, and signs no more."
        terminal.hang(terminal.text((MARKS.warn, "bold yellow")), (by, "yellow"))
        return
    terminal.line((f"{says} auditors and witnesses.", "dim"))


# -- a witness ------------------------------------------------------------------------------------------


def witness_serve(key: Path, logs: Sequence[str], folder: Path, host: str, port: int) -> None:
    """Until Ctrl-C."""
    signer = SigningKey(key)
    if signer.verifier().kind == ED25519:
        raise SetupError(
            "This key is a log's, not a witness's.", where=str(key), fix="Make one: `interlock witness key`."
        )
    known = [key for one in logs for key in verifier_keys(text_or_file(one))]
    if any(one.kind == COSIGNATURE for one in known):
        raise CallError("A witness's key was given as a log's.", fix="Give what `interlock key show` prints.")
    server = served(Witness(folder, signer, known), host, port, tell=_answered)
    sys.stderr.write(f"{signer.verifier()}\nlistening on http://{host}:{server.server_address[1]}\n")
    try:
        server.serve_forever()
    finally:
        server.server_close()


def _answered(answer: Answer) -> None:
    """A line for each checkpoint of a known log: when, of which log and size, and what was answered. None where the log
    only asked, by a 409 of the protocol, from which size on it must prove that it extends."""
    head = answer.about
    if head is None:
        return
    said = "signed"
    if answer.kept is not None:
        said = f"REFUSED, kept in {answer.kept}: the log has forked, unless its proof was wrong"
    elif answer.status == HTTPStatus.CONFLICT:
        seen = int(answer.body)
        if seen <= head.size:
            return
        said = f"REFUSED: {seen} leaves were seen of it; it was cut, or is an old copy"
    elif answer.status != HTTPStatus.OK:
        said = f"REFUSED: {answer.status} {answer.body.strip()}"
    when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    sys.stderr.write(f"{when} {safe(head.origin)} {counted(head.size, 'leaf', 'leaves')}: {safe(said)}\n")
    sys.stderr.flush()
