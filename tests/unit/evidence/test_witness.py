"""The witness: it signs what extends what it saw, and refuses a rollback and a fork."""

import re
import urllib.request
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from threading import Thread

import pytest

from interlock.cli.evidence import _answered
from interlock.contracts.errors import SetupError
from interlock.persistence import merkle
from interlock.persistence.evidence.keys import signed
from interlock.persistence.evidence.notes import COSIGNATURE, Checkpoint, checkpoint_of, note_of
from interlock.persistence.evidence.witnessing import Witness, request_body
from interlock.persistence.memory_store import MemoryStore
from interlock.service.witnesses import HttpWitness, WitnessRefused, served
from support.evidence import ORIGIN, TestKey, checkpointer, filled

LOG, KEY = TestKey(), TestKey("witness.example/w", 9, COSIGNATURE)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "seen", KEY, [LOG.verifier()])


def grown(*seeds: int) -> MemoryStore:
    store = MemoryStore(origin=ORIGIN)
    for seed in seeds:
        filled(store, 2, seed=seed)
        checkpointer(store.tree()).checkpoint()
    return store


def asked(witness: Witness, store: MemoryStore, old: int, at: int = -1, proof=None, note=None):
    note = note or note_of(store.tree().checkpoints()[at][1])
    size = checkpoint_of(note).size
    if proof is None:
        proof = merkle.consistency_proof(old, size, store.tree().nodes) if old <= size else []
    return witness.add_checkpoint(request_body(old, proof, note), 1_790_000_000)


def test_it_signs_what_extends_what_it_saw(witness: Witness):
    """From nothing, on from there, and the same again; each line is a cosignature of the checkpoint."""
    store = grown(1, 2)
    sizes = [size for size, _ in store.tree().checkpoints()]
    for old, at in ((0, 0), (sizes[0], 1), (sizes[1], 1)):
        answer = asked(witness, store, old, at)
        note = store.tree().checkpoints()[at][1]
        assert answer.status == 200
        assert note_of(note + answer.body).cosigned_at(KEY.verifier()) == 1_790_000_000
    last = witness.latest(ORIGIN)
    assert last is not None
    assert last.startswith(store.tree().checkpoints()[1][1])
    assert note_of(last).cosigned_at(KEY.verifier()) == 1_790_000_000


def test_a_rollback_is_a_conflict(witness: Witness):
    """409, with the size that it saw."""
    store = grown(1, 2)
    sizes = [size for size, _ in store.tree().checkpoints()]
    asked(witness, store, 0)
    for old in (0, sizes[0]):
        answer = asked(witness, store, old, 0)
        assert (answer.status, answer.body, answer.kind) == (409, f"{sizes[1]}\n", "text/x.tlog.size")
    fork = grown(3, 4, 5)
    same = signed(Checkpoint(ORIGIN, sizes[1], bytes(32)).text, LOG)
    assert asked(witness, fork, sizes[1], proof=[], note=same).status == 409


def test_what_contradicts_is_kept(witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A fork that the log's key signed, beside what was seen of it: two notes that prove it, and a bounded number."""
    store, fork = grown(1), grown(2, 3, 4)
    size = store.tree().size()
    asked(witness, store, 0)
    assert asked(witness, store, 0).kept is None  # what the protocol asks first
    refused = sorted({asked(witness, fork, size, at, proof=[]).kept for at in (1, 2, 2)}, key=str)
    kept = {file.read_text("utf-8") for file in (tmp_path / "seen").glob("*.refused")}
    assert None not in refused
    assert kept == {note for _, note in fork.tree().checkpoints()[1:]}
    monkeypatch.setattr("interlock.persistence.evidence.witnessing.MOST_KEPT", 2)
    same = signed(Checkpoint(ORIGIN, size, bytes(32)).text, LOG)
    full = asked(witness, fork, size, proof=[], note=same)
    assert (full.status, full.kept) == (409, None)
    assert len(list((tmp_path / "seen").glob("*.refused"))) == 2
    unsigned = signed(Checkpoint(ORIGIN, size, bytes(32)).text, TestKey(seed=5))
    assert asked(witness, fork, size, proof=[], note=unsigned).status == 403


def test_the_witness_says_what_it_answered(witness: Witness, capsys: pytest.CaptureFixture[str]):
    """A line for each checkpoint of a log that it knows; none where the log only asks what was seen of it."""
    store, fork = grown(1, 2), grown(3, 4, 5)
    sizes = [size for size, _ in store.tree().checkpoints()]
    for answer in (
        *(asked(witness, store, 0, 0), asked(witness, store, 0, 1), asked(witness, store, sizes[0], 1)),
        *(asked(witness, store, 0, 0), asked(witness, fork, sizes[1])),
        *(asked(witness, store, 9_999), witness.add_checkpoint("", 0)),
    ):
        _answered(answer)
    told = capsys.readouterr().err
    assert [re.sub(r"^[-0-9]{10}T[:0-9]{8}Z ", "", line) for line in told.splitlines()] == [
        f"{ORIGIN} {sizes[0]} leaves: signed",
        f"{ORIGIN} {sizes[1]} leaves: signed",
        f"{ORIGIN} {sizes[0]} leaves: REFUSED: {sizes[1]} leaves were seen of it; it was cut, or is an old copy",
        (
            f"{ORIGIN} {fork.tree().checkpoints()[-1][0]} leaves: REFUSED, kept in "
            f"{next(witness._folder.glob('*.refused'))}: the log has forked, unless its proof was wrong"
        ),
    ]


def test_a_fork_is_unprocessable(witness: Witness):
    """422: its proof cannot hold, whatever it shows."""
    store, fork = grown(1), grown(2, 3, 4)
    size = store.tree().size()
    asked(witness, store, 0)
    assert asked(witness, fork, size).status == 422
    assert asked(witness, fork, size, proof=[]).status == 422
    assert asked(witness, store, size).status == 200


def test_what_it_cannot_know_or_read_is_refused(witness: Witness):
    store = grown(1)
    size = store.tree().size()
    head = checkpoint_of(note_of(store.tree().checkpoints()[0][1]))
    other = Checkpoint("other.example", head.size, head.root)
    assert asked(witness, store, 0, note=signed(other.text, TestKey("other.example"))).status == 404
    assert asked(witness, store, 0, note=signed(head.text, TestKey(seed=5))).status == 403
    assert asked(witness, store, size + 1).status == 400
    nothing = request_body(0, [], signed("no checkpoint\n", LOG))
    bodies = [
        nothing,
        "",
        "old 01\n\n",
        "old 1\nnot base64\n\n",
        "old 0\n" + "AAAA\n" * 64 + "\n",
        "old 0\n\nnot a note",
    ]
    assert {witness.add_checkpoint(body, 0).status for body in bodies} == {400}
    assert witness.latest(ORIGIN) is None


@pytest.fixture
def url(witness: Witness) -> Iterator[str]:
    server = served(witness, "127.0.0.1", 0)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_checkpoints_are_witnessed_over_http(url: str):
    """Twice, so that it must say what it saw; and an auditor can fetch what it signed."""
    store = MemoryStore(origin=ORIGIN)
    signing = checkpointer(store.tree(), witnesses=[HttpWitness(url, KEY.verifier())])
    for seed in (1, 2):
        filled(store, 2, seed=seed)
        result = signing.checkpoint()
        assert (result.failures, result.note.cosigned_at(KEY.verifier()) is not None) == ((), True)
    with urllib.request.urlopen(f"{url}/{sha256(ORIGIN.encode()).hexdigest()}/checkpoint") as answer:
        assert checkpoint_of(note_of(answer.read().decode())).size == store.tree().size()


def test_a_rewritten_log_is_not_witnessed(url: str):
    """An old copy and a fork, each told as what it is."""
    store, old, fork = grown(1, 2), grown(1), grown(3, 4, 5)
    http = HttpWitness(url, KEY.verifier())
    http.cosign(note_of(store.tree().checkpoints()[-1][1]), store.tree())
    with pytest.raises(WitnessRefused, match="the log was cut, or is an old copy"):
        http.cosign(note_of(old.tree().checkpoints()[-1][1]), old.tree())
    with pytest.raises(WitnessRefused, match="this log does not extend what it saw"):
        http.cosign(note_of(fork.tree().checkpoints()[-1][1]), fork.tree())


def test_a_signature_of_another_witness_is_not_taken(url: str):
    store = grown(1)
    other = TestKey("witness.example/w", 8, COSIGNATURE)
    with pytest.raises(WitnessRefused, match="its signature is not of the key"):
        HttpWitness(url, other.verifier()).cosign(note_of(store.tree().checkpoints()[0][1]), store.tree())


def test_a_witness_that_cannot_be_reached_is_named():
    store = grown(1)
    with pytest.raises(WitnessRefused, match="It cannot be reached"):
        HttpWitness("http://127.0.0.1:9", KEY.verifier()).cosign(
            note_of(store.tree().checkpoints()[0][1]), store.tree()
        )
    with pytest.raises(SetupError, match="'file:///etc' is no http or https address"):
        HttpWitness("file:///etc", KEY.verifier())
