"""What `interlock doctor` says of the clock: deadlines, and the times in the log, are worth what it is worth."""

import socket
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from ..contracts.values import written_time
from ..persistence.sql_store import SqlStore
from .examine_keeping import Kept
from .terminal import span

DRIFT = timedelta(seconds=1)
"""What a clock may be off: more is said."""
FIX = "Set the clock (NTP): deadlines depend on it."
NTP_PORT, NTP_SECONDS = 123, 3.0
_SINCE_1900 = 2_208_988_800


def clocks(store: SqlStore[Any], ntp: str) -> Iterator[Kept]:
    """This machine's time beside the newest event's, the database server's, and a time server's where one is named."""
    yield _beside_the_log(store)
    before = datetime.now(UTC)
    server = store.server_time()
    if server is not None:
        yield _compared("the database server's", server - _middle(before, datetime.now(UTC)))
    if ntp:
        yield _beside_ntp(ntp)


def _beside_the_log(store: SqlStore[Any]) -> Kept:
    newest, now = store.summaries(limit=1), datetime.now(UTC)
    if newest and newest[0].updated_at > written_time(now):
        says = f"the newest event is from {newest[0].updated_at[:19]} UTC, after this machine's time "
        return Kept("clock", "warn", says + written_time(now)[:19], FIX)
    return Kept("clock", "ok", f"{written_time(now)[:19]} UTC, after everything in the log")


def _compared(whose: str, ahead: timedelta) -> Kept:
    """`ahead` is how far the other clock is before this machine's."""
    says = f"{span(abs(ahead))} {'before' if ahead > timedelta() else 'behind'} this machine's"
    if abs(ahead) > DRIFT:
        return Kept("clock", "warn", f"{whose} clock is {says}", FIX)
    return Kept("clock", "ok", f"{whose} clock agrees to {span(abs(ahead))}")


def _beside_ntp(server: str) -> Kept:
    try:
        return _compared(f"{server}'s", _ahead(server))
    except (OSError, ValueError, struct.error) as error:
        why = "it did not answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return Kept("clock", "warn", f"{server} was not heard: {why}", "Name another with --ntp or INTERLOCK_NTP.")


def _ahead(server: str) -> timedelta:
    """How far the server's clock is before this machine's, as SNTP (RFC 4330) has it: half of both ways' difference."""
    host, _, port = server.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(NTP_SECONDS)
        asking.connect((host, int(port or NTP_PORT)))
        sent = datetime.now(UTC)
        asked = struct.pack(">Q", int(sent.timestamp() * 1_000_000))
        asking.send(b"\x23" + bytes(39) + asked)  # version 4, a client; the last field comes back as it is
        data = asking.recv(512)
        received = datetime.now(UTC)
    if len(data) < 48 or data[0] & 7 != 4 or data[24:32] != asked or not 1 <= data[1] <= 15:
        raise ValueError("its answer is none of a time server that knows the time")
    return ((_stamp(data[32:40]) - sent) + (_stamp(data[40:48]) - received)) / 2


def _stamp(data: bytes) -> datetime:
    seconds, fraction = struct.unpack(">II", data)
    since = (seconds if seconds & 0x80000000 else seconds + (1 << 32)) - _SINCE_1900  # from 2036 on it begins anew
    return datetime.fromtimestamp(since, UTC) + timedelta(seconds=fraction / (1 << 32))


def _middle(before: datetime, after: datetime) -> datetime:
    return before + (after - before) / 2
