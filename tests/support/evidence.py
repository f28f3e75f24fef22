"""What tests of evidence need: logs with conversations in them, keys, and a checkpointer."""

from pathlib import Path
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.contracts.canonical import canonical, sha256_hex
from interlock.contracts.envelope import Head
from interlock.contracts.store import FlowRow, Store
from interlock.contracts.tree import TreeStore
from interlock.persistence.evidence import signing
from interlock.persistence.evidence.keys import Signer
from interlock.persistence.evidence.notes import ED25519, Checkpoint, VerifierKey
from interlock.persistence.evidence.signing import FileMemory
from interlock.persistence.merkle import EMPTY_ROOT
from interlock.service.checkpointing import Checkpointer
from interlock.service.clock import ManualClock
from support.stores import after, decided

ORIGIN = "log.example/tests"
FLOW_BODY = canonical({"name": "refund", "version": 1})
FLOW = FlowRow(sha256_hex(FLOW_BODY), "refund", 1, FLOW_BODY, "here")


class TestKey:
    """A signer whose key is made of a number."""

    __test__ = False

    def __init__(self, name: str = ORIGIN, seed: int = 1, kind: int = ED25519) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self._key = VerifierKey(name, kind, self._private.public_key().public_bytes_raw())

    def verifier(self) -> VerifierKey:
        return self._key

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


class Remembered:
    """A memory of what was signed that lives as long as the test."""

    def __init__(self, origin: str = ORIGIN) -> None:
        self.head = self.kept = Checkpoint(origin, 0, EMPTY_ROOT)

    def moved(self, advance, *, begun: bool = False):
        self.head = advance(self.head)
        return self.head

    def keep(self, head: Checkpoint) -> None:
        self.kept = head

    def last(self) -> signing.Remembered:
        return signing.Remembered(self.head, self.kept)

    def retire(self, successor: str = "") -> None:
        """A key of a test is not used again."""

    def successor(self) -> None:
        """It is in force."""


def filled(store: Store, conversations: int, *, seed: int = 0, turns: int = 4) -> list[str]:
    """Append turns of that many conversations, mixed; gives their names."""
    random = Random(seed)
    store.put_flow(FLOW)
    heads = {f"c{seed}-{n}": Head(f"c{seed}-{n}") for n in range(conversations)}
    for _ in range(conversations * turns):
        stream = random.choice(sorted(heads))
        written = [random.randbytes(random.randrange(1, 30)) for _ in range(random.randrange(3))]
        size = random.randrange(1, 4)
        append = decided(heads[stream], size=size, written=written, log=store.log, flow=FLOW.digest)
        store.append(append)
        heads[stream] = after(append)
    return [stream for stream, head in heads.items() if head.length]


def checkpointer(tree: TreeStore, folder: Path | None = None, *, signer: Signer | None = None, **given) -> Checkpointer:
    memory = Remembered(tree.log) if folder is None else FileMemory(folder / "signed.head", tree.log)
    return Checkpointer(tree, [signer or TestKey()], memory, clock=ManualClock(), **given)
