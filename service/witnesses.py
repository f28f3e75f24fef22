"""Asking witnesses, and time-stamping authorities, over HTTP; and answering as a witness."""

import http.client
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from ..contracts.errors import LogError, SetupError
from ..contracts.tree import TreeStore
from ..persistence.evidence.anchors import AnchorFailed
from ..persistence.evidence.notes import Note, NoteRefused, Signature, VerifierKey, checkpoint_of, signature_of
from ..persistence.evidence.witnessing import Answer, Witness, request_body
from ..persistence.merkle import consistency_proof

TIMEOUT_SECONDS = 10.0
MOST_BYTES = 1_000_000
PATH = "/add-checkpoint"


class WitnessRefused(LogError):
    """A witness did not sign: it cannot be reached, or this log is not what it saw before."""

    code = "witness_refused"


class HttpWitness:
    """A witness at a URL, with the key that its signatures must be of."""

    def __init__(self, url: str, key: VerifierKey) -> None:
        self.url, self.key = address(url).rstrip("/"), key

    def cosign(self, note: Note, tree: TreeStore) -> Sequence[Signature]:
        """Raises `WitnessRefused`. One more try where the witness says what size it saw last."""
        old, size, status = 0, checkpoint_of(note).size, 0
        for _ in range(2):
            proof = consistency_proof(old, size, tree.nodes)
            status, body = _posted(self.url + PATH, request_body(old, proof, note).encode(), "text/plain")
            if status == 200:
                return self._signatures(note, body.decode("utf-8", "replace"))
            last = body.strip()
            if status != 409 or not last.isdigit() or int(last) == old:
                break
            old = int(last)
            if old > size:
                raise self._refused(f"it saw {old} leaves, and this log has {size}: the log was cut, or is an old copy")
        raise self._refused(
            {
                409: "it saw another tree of this size: the log was rewritten, or has forked",
                422: "this log does not extend what it saw: the log was rewritten, or has forked",
                403: "it does not know this log's key",
                404: "it does not know this log",
            }.get(status, f"HTTP {status}")
        )

    def _signatures(self, note: Note, body: str) -> list[Signature]:
        try:
            lines = [signature_of(line) for line in body.split("\n") if line]
        except NoteRefused as error:
            raise self._refused("its answer cannot be read") from error
        good = [one for one in lines if Note(note.text, (one,)).cosigned_at(self.key) is not None]
        if not good:
            raise self._refused(f"its signature is not of the key {self.key.id.hex()}")
        return good

    def _refused(self, why: str) -> WitnessRefused:
        return WitnessRefused(
            f"The witness did not sign: {why}.",
            where=self.url,
            fix="If it was told of this log and its key, keep this database as it is and find the one it saw.",
        )


def address(url: str) -> str:
    """`url` if it is one of http or https. Raises `SetupError`."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SetupError(f"{url[:200]!r} is no http or https address.", fix="Give it whole, such as https://host/path.")
    return url


def stamped(url: str, body: bytes, kind: str) -> bytes:
    """Post to a time-stamping authority. Raises `AnchorFailed`."""
    try:
        status, answer = _posted(address(url), body, kind)
    except WitnessRefused as error:
        raise AnchorFailed(error.what, where=url, fix="Check its address, and that it runs.") from error
    if status != 200:
        raise AnchorFailed(f"The time-stamping authority answers HTTP {status}.", where=url, fix="Check its address.")
    return answer


def _posted(url: str, body: bytes, kind: str) -> tuple[int, bytes]:
    request = Request(url, data=body, headers={"Content-Type": kind}, method="POST")  # noqa: S310 - `address` checked it
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            return answer.status, answer.read(MOST_BYTES)
    except HTTPError as error:
        with error:
            return error.code, error.read(MOST_BYTES)
    except (URLError, OSError, http.client.HTTPException) as error:
        raise WitnessRefused(
            f"It cannot be reached: {type(error).__name__}.", where=url, fix="Check its address, and that it runs."
        ) from error


def served(
    witness: Witness, host: str, port: int, *, tell: Callable[[Answer], None] = lambda _: None
) -> ThreadingHTTPServer:
    """A server that answers as the witness; the caller runs `serve_forever` and closes it. Port 0 takes a free one.
    `tell` hears of each answer to a checkpoint, in the thread that gives it.

    Beside the protocol's `POST /add-checkpoint` it shows, to whoever audits a log, the newest checkpoint it signed:
    `GET /<SHA-256 of the origin>/checkpoint`.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if self.path != PATH or not length.isdigit() or int(length) > MOST_BYTES:
                self._answer(404 if self.path != PATH else 400, "")
                self.close_connection = True
                return
            body = self.rfile.read(int(length)).decode("utf-8", "replace")
            answer = witness.add_checkpoint(body, int(time.time()))
            tell(answer)
            self._answer(answer.status, answer.body, answer.kind)

        def do_GET(self) -> None:
            shown = {f"/{sha256(one.encode()).hexdigest()}/checkpoint": one for one in witness.origins()}
            found = witness.latest(shown[self.path]) if self.path in shown else None
            self._answer(404 if found is None else 200, found or "")

        def _answer(self, status: int, body: str, kind: str = "text/plain; charset=utf-8") -> None:
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Says nothing: `tell` does."""

    return ThreadingHTTPServer((host, port), Handler)
