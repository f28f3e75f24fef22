"""Who shows conversations leaves something out: the verifier says what. Whoever does it has the signing key.

| left out, or put otherwise                    | what is said                                                     |
|-----------------------------------------------|------------------------------------------------------------------|
| the last entries of a conversation            | it is not complete, and which is not its end                     |
| entries in its middle, such as a migration    | which version stands where another belongs                       |
| a conversation of a whole log, with its file  | the manifest names other conversations than there are            |
| a tile of a whole log, or two exchanged       | which tile is not there, or that the root is another             |
| all since an older checkpoint                 | `--head`: not shown: an older state, or the log was cut          |
| a child, a parent, what a fork comes from     | who of which conversation is not in the bundle                   |
| an end that never was                         | which proof does not hold; in the report, the line that differs  |
| the conversation that was asked for           | `--conversation`: it is not in the bundle                        |
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from interlock.contracts.canonical import canonical, leaf_hash, parsed
from interlock.contracts.commands import FlowRef
from interlock.contracts.envelope import Head, sealed
from interlock.contracts.events import ConversationEnded, ConversationStarted, Event, FlowChanged, TransitionTaken
from interlock.contracts.lineage import ForkRef, Stood
from interlock.contracts.store import Append
from interlock.contracts.subflow import ParentRef
from interlock.contracts.subflow_events import SubflowStarted
from interlock.contracts.values import ConversationId, SubjectId
from interlock.persistence.evidence import verify_bundle as alone
from interlock.persistence.evidence.verify_bundle import file_name, tile_path
from interlock.persistence.memory_store import MemoryStore
from support.evidence import FLOW, ORIGIN, TestKey, checkpointer, filled
from support.stores import NOON, command, summary_after
from support.tampering import bundle_of, checked, resigned

Files = dict[str, bytes]
REF = FlowRef(name="refund", version=1, digest=FLOW.digest)
LATER = NOON + timedelta(hours=1)
TOP, CHILD, FORK, OPEN = "c-top", "c-child", "c-fork", "c-open"


def started(stream: str, **more: Any) -> ConversationStarted:
    return ConversationStarted(flow=REF, subject=SubjectId(f"of {stream}"), state="waiting", turn_due=LATER, **more)


def moved(source: str, target: str) -> TransitionTaken:
    return TransitionTaken(source=source, on="message", target=target, row=0, because="R-1")


def ends(state: str) -> tuple[Event, ...]:
    return moved("waiting", state), ConversationEnded(state=state)


def put(store: MemoryStore, head: Head, events: Sequence[Event]) -> Head:
    entries = sealed(events, head=head, command=command(f"k{head.length}"), flow=FLOW.digest, code="test/1", log=ORIGIN)
    summary = summary_after(entries, flow_digest=FLOW.digest)
    store.append(Append(entries=entries, expected=head.length, summary=summary))
    return Head(head.stream, entries[-1].version + 1, entries[-1].leaf)


@pytest.fixture
def store() -> MemoryStore:
    """A conversation that was moved to another flow and began a child, a fork of it, and one that is open."""
    made = MemoryStore(origin=ORIGIN)
    made.put_flow(FLOW)
    changed = FlowChanged(
        before=REF, flow=REF, state="waiting", stood=(Stood(state="waiting", kind="wait"),), currency="EUR"
    )
    begun = SubflowStarted(
        state="waiting", flow=REF, child=ConversationId(CHILD), facts=(), depth=1, most=3, due=LATER
    )  # fmt: skip
    top = put(made, Head(TOP), [started(TOP)])
    top = put(made, top, [changed])
    top = put(made, top, [begun])
    parent = ParentRef(conversation=ConversationId(TOP), effect=2, depth=1, most=3)
    put(made, Head(CHILD), [started(CHILD, parent=parent), *ends("done")])
    put(made, top, ends("refunded"))
    origin = ForkRef(conversation=ConversationId(TOP), version=1)
    put(made, Head(FORK), [started(FORK, origin="forked", forks=(origin,))])
    put(made, Head(OPEN), [started(OPEN), moved("waiting", "asking")])
    checkpointer(made.tree()).checkpoint()
    return made


def entries_in(files: Files, stream: str) -> list[bytes]:
    return files[f"entries/{file_name(stream)}.jsonl"].splitlines()


def with_entries(files: Files, stream: str, entries: Sequence[bytes], *, dropped: Sequence[int] = ()) -> Files:
    """The bundle with these entries of a conversation; the proofs of what is dropped go too, others move up."""
    name = file_name(stream)
    proofs = [files[f"proofs/{name}/{version}.tlog-proof"] for version in range(len(entries_in(files, stream)))]
    kept = [one for version, one in enumerate(proofs) if version not in dropped]
    rest = {
        key: data for key, data in files.items() if not key.startswith((f"proofs/{name}/", f"entries/{name}.jsonl"))
    }
    rest |= {f"proofs/{name}/{version}.tlog-proof": one for version, one in enumerate(kept)}
    return rest | {f"entries/{name}.jsonl": b"".join(one + b"\n" for one in entries)}


def told(files: Files, *heads: str) -> tuple[str, list[str]]:
    report = checked(resigned(files), *heads)
    return report.verdict, report.faults


def test_the_bundles_are_whole_before_anything_is_left_out(store: MemoryStore) -> None:
    """The control."""
    for streams in (None, (TOP, CHILD), (OPEN,), (FORK, TOP, CHILD)):
        assert told(bundle_of(store, streams)) == ("SELF-ATTESTED", [])


@pytest.mark.parametrize("stream", [TOP, CHILD, OPEN])
@pytest.mark.parametrize("count", [1, 2])
def test_the_last_entries_of_a_conversation(store: MemoryStore, stream: str, count: int) -> None:
    files = bundle_of(store, (TOP, CHILD, OPEN))
    entries = entries_in(files, stream)
    if len(entries) <= count:
        count = 1
    last = range(len(entries) - count, len(entries))
    verdict, faults = told(with_entries(files, stream, entries[:-count], dropped=last))
    assert verdict == "BROKEN"
    end = len(entries) - count - 1
    said = f"complete: {stream} is not complete: version {end} is not where the log says that it ends."
    assert faults[0] == said


def test_the_entry_that_moved_it_to_another_flow(store: MemoryStore) -> None:
    """Or any other in its middle: the next one stands where another belongs."""
    files = bundle_of(store, (TOP,))
    entries = entries_in(files, TOP)
    assert b'"type":"flow_changed"' in entries[1]
    verdict, faults = told(with_entries(files, TOP, [entries[0], *entries[2:]], dropped=[1]))
    assert verdict == "BROKEN"
    assert faults[0].startswith(f"tree: {TOP} has version 2 where 1 belongs (leaf ")


def test_a_conversation_of_a_whole_log(store: MemoryStore) -> None:
    """Its entries stand in the tiles: to leave it out of the list, and of the report, does not hide it."""
    files = bundle_of(store)
    names = [one for one in store.streams() if one != CHILD]
    report = checked(resigned(files, conversations=names))
    assert report.verdict == "BROKEN"
    assert report.faults[0] == "complete: the manifest names other conversations than there are."


def long_log() -> MemoryStore:
    """More than three tiles of entries."""
    store = MemoryStore(origin=ORIGIN)
    filled(store, 40, turns=12)
    checkpointer(store.tree()).checkpoint()
    assert store.tree().size() > 3 * 256
    return store


def test_a_tile_in_the_middle() -> None:
    """Left out, or another in its place."""
    files, middle, first = bundle_of(long_log()), tile_path("entries", 1, 256), tile_path("entries", 0, 256)
    without = {name: data for name, data in files.items() if name != middle}
    assert told(without)[1][0] == f"tree: the bundle has no {middle!r}."
    verdict, faults = told({**files, middle: files[first], first: files[middle]})
    assert (verdict, faults[0].startswith("tree: ")) == ("BROKEN", True)
    hashes = tile_path("0", 1, 256)
    less = {name: data for name, data in files.items() if name != hashes}
    assert told(less)[1] == [f"tree: the bundle has no {hashes!r}."]


def test_all_since_an_older_checkpoint(store: MemoryStore) -> None:
    """An honest bundle of an older day shows the conversation as open; a newer head from elsewhere tells."""
    older = bundle_of(store, (OPEN,))
    put(store, store.head(OPEN), ends("refused"))
    head = str(checkpointer(store.tree()).checkpoint().note)
    assert told(older) == ("SELF-ATTESTED", [])
    report = checked(older, head)
    size = store.tree().size()
    ended = alone.Checkpoint(older["checkpoint"]).size
    assert (report.verdict, report.faults) == ("NOT SHOWN", [])
    cut = f"head 0 (size {size}) is newer than this bundle, which ends at {ended}: an older state of the log is shown, "
    assert report.missing == [f"{cut}or it was cut. Ask for a bundle made since."]
    assert told(bundle_of(store, (OPEN,)), head)[0] == "ANCHORED"


@pytest.mark.parametrize(
    ("streams", "says", "absent"),
    [
        ((TOP,), f"The child of {TOP} (event 2), {CHILD}, is not in this bundle.", [CHILD]),
        ((CHILD,), f"The parent of {CHILD} (event 0), {TOP}, is not in this bundle.", [TOP]),
        ((FORK,), f"The origin of {FORK} (event 0), {TOP}, is not in this bundle.", [TOP]),
    ],
)
def test_a_conversation_that_belongs_to_it(
    store: MemoryStore, streams: tuple[str, ...], says: str, absent: list[str]
) -> None:
    """It is nobody's fault to be asked for one alone; but it is said, also on the page."""
    files = bundle_of(store, streams)
    report = checked(files)
    assert (report.verdict, report.absent) == ("SELF-ATTESTED", absent)
    assert says in report.says
    assert f"{absent[0]} (not in this bundle)" in files["report.html"].decode()
    assert checked(bundle_of(store)).absent == []


def forged_end(files: Files) -> bytes:
    """An end of the open conversation, chained as an end would be."""
    last = entries_in(files, OPEN)[-1]
    value = parsed(last)
    value |= {"data": {"state": "refunded"}, "type": "conversation_ended"}
    value |= {"prev": leaf_hash(last).hex(), "ver": value["ver"] + 1}
    return canonical(value)


def test_an_open_conversation_with_a_forged_end(store: MemoryStore) -> None:
    """Nothing proves the entry: not another one's proof, nor none."""
    files = bundle_of(store, (OPEN,))
    entries = entries_in(files, OPEN)
    more = with_entries(files, OPEN, [*entries, forged_end(files)])
    assert told(more)[1][0] == f"tree: the bundle has no 'proofs/{file_name(OPEN)}/2.tlog-proof'."
    more[f"proofs/{file_name(OPEN)}/2.tlog-proof"] = files[f"proofs/{file_name(OPEN)}/1.tlog-proof"]
    assert told(more)[1][0] == f"tree: proofs/{file_name(OPEN)}/2.tlog-proof does not prove its entry."


@pytest.mark.parametrize("name", ["report.html", "report.csv"])
def test_an_open_conversation_that_the_report_calls_ended(store: MemoryStore, name: str) -> None:
    files = bundle_of(store, (OPEN,))
    old, new = {
        "report.html": ("still open, in asking", "ended in refunded"),
        "report.csv": ('"transition_taken"', '"conversation_ended"'),
    }[name]
    text = files[name].decode()
    assert old in text
    verdict, faults = told({**files, name: text.replace(old, new).encode()})
    assert verdict == "BROKEN"
    assert faults[0].startswith(f"readable: {name} does not say what the entries say: line ")
    assert new in faults[0].replace("\\'", "'")


def test_the_conversation_that_was_asked_for(store: MemoryStore) -> None:
    """The auditor names it; one that is nowhere in the whole log is said to be so."""
    keys = [alone.Key(str(TestKey().verifier()))]

    def asked(streams: tuple[str, ...] | None, wanted: str) -> alone.Report:
        return alone.check(bundle_of(store, streams), alone.Trust(keys, conversations=[wanted]))

    assert asked((TOP,), TOP).verdict == "SELF-ATTESTED"
    other = asked((TOP,), OPEN)
    assert (other.verdict, other.missing) == ("NOT SHOWN", [f"The conversation {OPEN} is not in this bundle."])
    size = store.tree().size()
    assert asked(None, "c-x").missing == [
        f"The conversation c-x is not in this bundle, nor in the log up to leaf {size}."
    ]


def test_a_map_of_heads_that_forgets_the_end_is_found_in_the_whole_log(store: MemoryStore) -> None:
    """Whoever signs a false map can show a case cut short; who has everything builds the map again."""
    check = alone.Check(bundle_of(store), alone.Trust([alone.Key(str(TestKey().verifier()))]))
    assert check.run().faults == []
    ((index, _, record, _),) = check.records
    true = record["data"]
    check._all_heads([(index, true)])
    for lie in ({"root": "0" * 64}, {"conversations": 3}, {"leaves": index - 1}):
        with pytest.raises(alone.Bad, match=f"the map of heads at leaf {index} is not that of the entries before it"):
            check._all_heads([(index, true | lie)])
