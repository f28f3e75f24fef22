"""Random changes of a bundle: every one is found, and nothing is found where nothing was changed."""

from collections.abc import Callable
from random import Random

import pytest

from interlock.persistence.evidence import verify_bundle
from interlock.persistence.memory_store import MemoryStore
from support.evidence import ORIGIN, checkpointer, filled
from support.tampering import bundle_of, checked

Files = dict[str, bytes]


# -- bundles ------------------------------------------------------------------------------------------------


def flip(files: Files, random: Random) -> None:
    name = random.choice([one for one in sorted(files) if files[one]])
    data = bytearray(files[name])
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    files[name] = bytes(data)


def cut(files: Files, random: Random) -> None:
    name = random.choice([one for one in sorted(files) if files[one]])
    files[name] = files[name][: random.randrange(len(files[name]))]


def insert(files: Files, random: Random) -> None:
    name = random.choice(sorted(files))
    at = random.randrange(len(files[name]) + 1)
    files[name] = files[name][:at] + random.randbytes(1) + files[name][at:]


def remove(files: Files, random: Random) -> None:
    del files[random.choice(sorted(files))]


def add(files: Files, random: Random) -> None:
    files[f"entries/{random.randrange(99)}.jsonl"] = files[random.choice(sorted(files))]


def swap(files: Files, random: Random) -> None:
    one, other = random.sample(sorted(files), 2)
    if files[one] == files[other]:
        return flip(files, random)
    files[one], files[other] = files[other], files[one]
    return None


CHANGES: list[Callable[[Files, Random], None]] = [flip, flip, flip, cut, insert, remove, add, swap]


def passes(files: Files) -> bool:
    """Whether the verifier vouches for the bundle. One that says it is of another log gets no verdict: its reader is
    told which key is of which."""
    try:
        return checked(files).verdict not in ("BROKEN", "NOT SHOWN")
    except verify_bundle.WrongCall:
        return False


def undetected(count: int, seed: int) -> list[str]:
    """Changes of bundles, of whole logs and of a conversation in turn, that nothing showed."""
    store, random = MemoryStore(origin=ORIGIN), Random(seed)
    streams, signing = filled(store, 4, seed=seed), checkpointer(store.tree())
    signing.checkpoint()
    filled(store, 2, seed=seed + 1)
    signing.checkpoint()
    bundles = [bundle_of(store), bundle_of(store, (streams[0],), disclose=("note", "fact.p0"))]
    missed = []
    for number in range(count):
        change, files = random.choice(CHANGES), dict(bundles[number % 2])
        change(files, random)
        if passes(files):
            missed.append(f"{number}: {change.__name__}")
    return missed


def test_every_change_of_a_bundle_is_found():
    assert undetected(300, 1) == []


@pytest.mark.full
def test_every_change_of_a_bundle_is_found_in_100000():
    assert [one for seed in range(100) for one in undetected(1000, seed)] == []


def alarms(count: int) -> list[str]:
    """Honest bundles that something was found in."""
    found = []
    for seed in range(count):
        random, store = Random(seed), MemoryStore(origin=ORIGIN)
        signing = checkpointer(store.tree())
        streams: list[str] = []
        head = ""
        for part in range(random.randrange(1, 3)):
            streams += filled(store, random.randrange(1, 4), seed=10 * seed + part, turns=2)
            head = str(signing.checkpoint().note)
        chosen = random.choice([None, tuple(random.sample(streams, random.randrange(1, len(streams) + 1)))])
        files = bundle_of(store, chosen, disclose=random.choice([("all",), ("none",), ("fact.p0", "message")]))
        if checked(files, head).verdict != "ANCHORED":
            found.append(f"seed {seed}: {checked(files, head).document()}")
    return found


def test_honest_bundles_raise_no_alarm():
    assert alarms(100) == []


@pytest.mark.full
def test_ten_thousand_honest_bundles_raise_no_alarm():
    assert alarms(10_000) == []
