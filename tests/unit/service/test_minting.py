"""The random bytes under each text's commitment: nobody gets the same twice, not even in another process."""

import os
import threading
from collections.abc import Iterator

import pytest

from interlock.service import clock
from interlock.service.clock import DRAWN_AT_ONCE, minted


def drawn(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield minted("message", "message", b"hello").r


def test_every_text_has_bytes_of_its_own():
    found = list(drawn(3 * DRAWN_AT_ONCE + 1))
    assert len(set(found)) == len(found)
    assert {len(one) for one in found} == {32}


def test_threads_share_no_bytes():
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.extend(drawn(5 * DRAWN_AT_ONCE))) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(set(found)) == len(found) == 20 * DRAWN_AT_ONCE


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_shares_no_bytes_with_its_parent():
    next(drawn(1))
    assert clock._drawn, "nothing was drawn ahead: the test shows nothing"
    out, into = os.pipe()
    child = os.fork()
    if not child:
        os.write(into, b"".join(drawn(DRAWN_AT_ONCE)))
        os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    theirs = {said[at : at + 32] for at in range(0, len(said), 32)}
    assert len(theirs) == DRAWN_AT_ONCE
    assert theirs.isdisjoint(drawn(DRAWN_AT_ONCE))
