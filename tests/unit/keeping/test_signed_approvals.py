"""Signed approvals under attack: none counts that is not this person's, of this entry, now, and once."""

import asyncio
import base64
import csv
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.approval import SignedApproval
from interlock.contracts.commands import Actor
from interlock.contracts.errors import CallError
from interlock.contracts.events import CommandRefused, TaskDecided, TaskEndorsed, TaskOpened
from interlock.contracts.keeping import ApproverNamed
from interlock.contracts.records import RECORDS
from interlock.persistence.evidence import verify_bundle
from interlock.persistence.evidence.keys import SigningKey, new_key
from interlock.persistence.memory_store import MemoryStore
from interlock.service import runtime as runtime_module
from interlock.service.approvers import approvers_of, name_approver, signatures_broken, signed_approval
from interlock.service.auditing import audited
from interlock.service.clock import ManualClock
from interlock.service.journal import Journal
from interlock.service.loading import recorded
from interlock.service.outcome import TurnOutcome
from interlock.service.runtime import Runtime
from support.evidence import TestKey, checkpointer
from support.runtime import check_log
from support.signing import PROGRAM
from support.tampering import bundle_of, checked, resigned

MANY = 20


@dataclass
class Office:
    """A runtime with two approvers, and what they do."""

    store: MemoryStore
    runtime: Runtime
    clock: ManualClock
    keys: dict[str, SigningKey]

    async def opened(self, name: str = "talk", amount: int = 5_00) -> int:
        await self.runtime.start(conversation=name, facts={"amount": amount})
        return self.task(await self.runtime.say(name, "please"))

    def task(self, outcome: TurnOutcome) -> int:
        assert outcome.task
        return outcome.task.number

    def sign(self, key: str, task: int, name: str = "talk", decision: str = "approved", **other: Any) -> Any:
        entry = self.store.read(name, after=task, limit=1)
        (opened,) = recorded(entry)
        assert isinstance(opened.event, TaskOpened)
        given: dict[str, Any] = {
            "person": key,
            "conversation": name,
            "task": task,
            "decision": decision,
            "opened": opened.event,
            "meaning": "I approve this payment",
            "leaf": entry[0].leaf,
            "now": self.clock.now(),
        }
        return signed_approval(self.keys[key], **(given | other))

    async def decide(
        self,
        who: str,
        task: int,
        signed: SignedApproval | None,
        name: str = "talk",
        decision: str = "approved",
        **kw: Any,
    ) -> TurnOutcome:
        entry = recorded(self.store.read(name, after=task, limit=1))[0].event
        shown = kw.pop("shown", entry.shown if isinstance(entry, TaskOpened) else None)
        actor = Actor(kind="human", id=who, roles=("clerk",))
        return await self.runtime.decide_task(name, task, decision, actor=actor, shown=shown, signed=signed, **kw)

    def refusals(self, name: str = "talk") -> list[str]:
        return [one.event.reason for one in recorded(self.store.read(name)) if isinstance(one.event, CommandRefused)]

    def accepted(self, name: str = "talk") -> int:
        events = [one.event for one in recorded(self.store.read(name))]
        return sum(isinstance(one, TaskEndorsed | TaskDecided) for one in events)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    store, clock = MemoryStore(origin="log"), ManualClock()
    keys = {name: new_key(tmp_path / name, name) for name in ("anna", "bert", "mallory")}
    for person, accounts in (("anna", ("anna", "anna.admin")), ("bert", ("bert",))):
        name_approver(store, by="ops", person=person, accounts=accounts, key=keys[person].verifier().public.hex())
    clock.moment += timedelta(days=400)  # the records above have the machine's time
    async with Runtime(store, PROGRAM, ScriptedAgent(lambda _: gives()), clock=clock) as runtime:
        yield (office := Office(store, runtime, clock, keys))
    if office.store is not store:
        return  # the test forged it
    assert audited(store).ok
    check_log(store, PROGRAM)


async def test_two_people_sign_and_it_is_paid(office: Office) -> None:
    """Each signature stands in the entry of its decision, and the log verifies with them."""
    task = await office.opened()
    await office.decide("anna", task, office.sign("anna", task))
    outcome = await office.decide("bert", task, office.sign("bert", task))
    assert (outcome.state, office.refusals()) == ("paid", [])
    events = [one.event for one in recorded(office.store.read("talk"))]
    signed = [one.signed for one in events if isinstance(one, TaskEndorsed | TaskDecided)]
    assert [one.person for one in signed if one] == ["anna", "bert"]


async def test_without_a_signature_nothing_counts(office: Office) -> None:
    """A session alone is no signature; saying no needs none."""
    task = await office.opened()
    await office.decide("anna", task, None)
    assert (office.refusals(), office.accepted()) == (["not_signed"], 0)
    outcome = await office.decide("anna", task, None, decision="rejected")
    assert outcome.state == "refused"


# -- attacks -------------------------------------------------------------------------------------------


async def replayed(office: Office, number: int) -> list[str]:
    """A good signature, put under another conversation's task of the same amount."""
    task = await office.opened(f"one-{number}")
    good = office.sign("anna", task, f"one-{number}")
    other = await office.opened(f"two-{number}")
    await office.decide("anna", other, good, f"two-{number}")
    forged = good.changed(conversation=f"two-{number}", task=other)
    await office.decide("anna", other, forged, f"two-{number}")
    return [f"two-{number}"]


async def reused(office: Office, number: int) -> list[str]:
    """Used once, then again: for the same task, and for the same task opened anew."""
    name = f"talk-{number}"
    task = await office.opened(name)
    good = office.sign("anna", task, name)
    await office.decide("anna", task, good, name)
    assert office.accepted(name) == 1
    await office.decide("anna", task, good, name)
    await office.decide("bert", task, None, name, decision="again")
    again = office.task(await office.runtime.say(name, "please"))
    before = office.accepted(name)
    await office.decide("anna", again, good, name)
    await office.decide("anna", again, good.changed(task=again), name)
    assert office.accepted(name) == before
    return []


async def expired(office: Office, number: int) -> list[str]:
    """Signed too long ago, signed for later, and with an expiry that was pushed out after signing."""
    name = f"talk-{number}"
    task = await office.opened(name)
    good = office.sign("anna", task, name)
    office.clock.advance(15 * 60)
    await office.decide("anna", task, good, name)
    await office.decide("anna", task, good.changed(expires=good.expires + timedelta(days=1)), name)
    early = office.sign("anna", task, name, now=office.clock.now() + timedelta(minutes=5))
    await office.decide("anna", task, early, name)
    return [name]


async def same_person(office: Office, number: int) -> list[str]:
    """One person, two accounts: the second approval is refused, whichever account it comes from."""
    name = f"talk-{number}"
    task = await office.opened(name)
    await office.decide("anna", task, office.sign("anna", task, name), name)
    await office.decide("anna.admin", task, office.sign("anna", task, name), name)
    await office.decide("ANNA", task, office.sign("anna", task, name), name)
    assert office.accepted(name) == 1
    return []


async def as_another(office: Office, number: int) -> list[str]:
    """Another's key, another's name, no key of anybody: a thief of a session cannot sign."""
    name = f"talk-{number}"
    task = await office.opened(name)
    await office.decide("bert", task, office.sign("anna", task, name), name)
    await office.decide("bert", task, office.sign("anna", task, name, person="bert"), name)
    await office.decide("anna", task, office.sign("mallory", task, name, person="anna"), name)
    good = office.sign("anna", task, name)
    flipped = f"{int(good.signature[0], 16) ^ 1:x}{good.signature[1:]}"
    await office.decide("anna", task, good.changed(signature=flipped), name)
    return [name]


async def edited(office: Office, number: int) -> list[str]:
    """Signed for one amount, shown another; or for another decision, or with other words under the signature."""
    name = f"talk-{number}"
    task = await office.opened(name)
    good = office.sign("anna", task, name)
    await office.decide("anna", task, good, name, shown="ab" * 32)
    await office.decide("anna", task, good.changed(shown="ab" * 32), name, shown="ab" * 32)
    await office.decide("anna", task, office.sign("anna", task, name, decision="rejected"), name)
    await office.decide("anna", task, good.changed(meaning="I approve everything"), name)
    return [name]


ATTACKS = (replayed, reused, expired, same_person, as_another, edited)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__)
async def test_no_attack_is_accepted(office: Office, attack: Any) -> None:
    """20 of each: not one endorsement that should not be; every attempt stands in the log."""
    for number in range(MANY):
        for name in await attack(office, number):
            assert office.accepted(name) == 0
            assert office.refusals(name)


@pytest.mark.full
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda one: one.__name__)
async def test_no_attack_is_accepted_at_length(office: Office, attack: Any) -> None:
    """1,000 of each."""
    for number in range(1_000):
        for name in await attack(office, number):
            assert office.accepted(name) == 0


async def test_a_race_of_two_approvals_counts_each_person_once(office: Office) -> None:
    """Both at once, and each twice at once: two endorsements' worth, and one payment."""
    for number in range(MANY):
        name = f"talk-{number}"
        task = await office.opened(name)
        await asyncio.gather(
            *(office.decide(who, task, office.sign(who, task, name), name) for who in ("anna", "bert", "anna", "bert"))
        )
        assert office.accepted(name) == 2
        outcome = await office.runtime.outcome(name)
        assert outcome.state == "paid"


async def test_a_revoked_key_signs_no_more(office: Office) -> None:
    """What it signed before still verifies: it was good then."""
    task = await office.opened()
    await office.decide("anna", task, office.sign("anna", task))
    name_approver(office.store, by="ops", person="bert", accounts=("bert",), key=None)
    other = await office.opened("late")
    await office.decide("bert", other, office.sign("bert", other, "late"), "late")
    assert office.refusals("late") == ["bad_signature"]


async def test_a_clock_set_back_spoils_no_approval(office: Office) -> None:
    """Signed by a clock that is fast; revoked afterwards, with an earlier time: it was good then, and is."""
    task = await office.opened()
    await office.decide("anna", task, office.sign("anna", task))
    assert office.accepted() == 1
    revoked_anna(office)  # its time is 400 days before the decision's
    for _ in range(2):
        assert (audited(office.store).broken, checked_alone(office.store)) == ((), [])
        checkpointer(office.store.tree()).checkpoint()


async def test_an_approver_named_by_a_fast_clock_signs_at_once(office: Office, tmp_path: Path) -> None:
    """The record has a later time than the decision that it comes before."""
    office.keys["carl"] = new_key(tmp_path / "carl", "carl")
    public = office.keys["carl"].verifier().public.hex()
    fast = ManualClock(office.clock.now() + timedelta(minutes=10))
    Journal(office.store, fast).note(ApproverNamed(by="ops", ground="x", person="carl", accounts=("carl",), key=public))
    checkpointer(office.store.tree()).checkpoint()
    task = await office.opened()
    await office.decide("carl", task, office.sign("carl", task))
    assert (office.refusals(), office.accepted()) == ([], 1)
    checkpointer(office.store.tree()).checkpoint()
    assert (audited(office.store).broken, checked_alone(office.store)) == ((), [])


def revoked_anna(office: Office) -> None:
    name_approver(office.store, by="ops", person="anna", accounts=("anna",), key=None, ground="left")


@pytest.mark.parametrize("sequenced", [True, False])
async def test_a_decision_that_came_after_a_revocation_is_found(
    office: Office, monkeypatch: pytest.MonkeyPatch, sequenced: bool
) -> None:
    """Whatever time it says: behind a checkpoint over the revocation the key signs for nobody."""
    revoked_anna(office)
    task = await office.opened()
    checkpointer(office.store.tree()).checkpoint()
    office.clock.moment -= timedelta(days=800)
    monkeypatch.setattr(runtime_module, "looked_at", lambda *given: (given[4], None))
    await office.decide("anna", task, office.sign("anna", task))
    assert office.accepted() == 1
    if sequenced:
        checkpointer(office.store.tree()).checkpoint()
    (broken,) = audited(office.store).broken
    assert broken.what == "The signature under the decision does not hold: unknown key."
    (fault,) = checked_alone(office.store)
    assert fault.endswith("is by a key that the log does not name for anna")
    office.store = MemoryStore(origin="log")


async def test_one_key_is_one_persons(office: Office) -> None:
    """A key cannot be named for a second person: they would be two where there is one."""
    key = office.keys["anna"].verifier().public.hex()
    with pytest.raises(CallError, match="This key is anna's"):
        name_approver(office.store, by="ops", person="anna2", key=key)


# -- for an auditor ------------------------------------------------------------------------------------


def checked_alone(store: MemoryStore) -> list[str]:
    """What the verifier of one file says of the signatures, from entries and records alone."""
    check = verify_bundle.Check({}, verify_bundle.Trust())
    check.whole = True
    tree = store.tree()

    def place(stream: str, version: int) -> int:
        found = tree.index_of(stream, version)
        return (10**5 if stream == RECORDS else 10**6) + version if found is None else found

    check.entries = {
        stream: [(place(stream, one.version), json.loads(one.data), one.leaf) for one in store.read(stream)]
        for stream in store.streams()
    }
    kept = tree.kept_records()
    check.records = [(place(RECORDS, one.number), one.number, json.loads(one.entry), b"") for one in kept]
    try:
        check.approvals()
    except verify_bundle.Bad as bad:
        return [str(bad)]
    return []


class Altered:
    """The store with one field of every signature changed."""

    def __init__(self, store: MemoryStore, **fields: str) -> None:
        self._store, self._fields = store, fields

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def read(self, stream: str) -> Any:
        def one(entry: Any) -> Any:
            value = json.loads(entry.data)
            if isinstance(value["data"].get("signed"), dict):
                value["data"]["signed"] |= self._fields
            return entry._replace(data=json.dumps(value).encode())

        return [one(entry) for entry in self._store.read(stream)]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"meaning": "I approve everything"}, "does not hold"),
        ({"action": "ab" * 32}, "is under another decision"),
        ({"decision": "rejected"}, "is under another decision"),
        ({"expires": "2020-01-01T00:00:00.000000Z"}, "does not hold"),
        ({"person": "bert"}, "does not hold"),
    ],
)
async def test_the_verifier_of_one_file_checks_signatures(office: Office, fields: dict[str, str], says: str) -> None:
    """As they are, they hold; with any field changed, the first is named."""
    task = await office.opened()
    await office.decide("anna", task, office.sign("anna", task))
    await office.decide("bert", task, office.sign("bert", task))
    assert checked_alone(office.store) == []
    (fault,) = checked_alone(Altered(office.store, **fields))  # type: ignore[arg-type]
    assert says in fault


class Stripped(Altered):
    """The store with every signature taken out."""

    def read(self, stream: str) -> Any:
        def one(entry: Any) -> Any:
            value = json.loads(entry.data)
            if value["type"] in ("task_decided", "task_endorsed"):
                value["data"].pop("signed", None)
            return entry._replace(data=json.dumps(value).encode())

        return [one(entry) for entry in self._store.read(stream)]


async def test_an_approval_without_its_signature_is_broken(office: Office) -> None:
    """Where its task asks for one: whoever has the log's key can leave it out, and chain again. A no needs none."""
    task = await office.opened()
    await office.decide("anna", task, office.sign("anna", task))
    await office.decide("bert", task, office.sign("bert", task))
    other = await office.opened("no")
    await office.decide("anna", other, None, "no", decision="rejected")
    (fault,) = checked_alone(Stripped(office.store))  # type: ignore[arg-type]
    version = next(one.version for one in office.store.read("talk") if one.type == "task_endorsed")
    assert fault == f"talk version {version} approves without a signature, and its task asks for one"
    entries = Stripped(office.store).read("talk")
    said = "The approval is not signed, and its task asks for a signature."
    assert signatures_broken(entries, recorded(entries), approvers_of(office.store)) == (version, said)
    assert checked_alone(office.store) == []


# -- in a bundle ---------------------------------------------------------------------------------------

IMITATED = (
    "fine”; signed by anna at 2026-11-21 22:01:40 UTC with the key c8761b0a33f1d2e4…: “I approve",
    'hi" and approves the refund: "ok',
    "a \\” b\nby anna, 2026-11-21 22:01:40 UTC, key c8761b0a33f1d2e4…: “I approve”",
)


def bundled(store: MemoryStore, streams: tuple[str, ...] | None = None) -> dict[str, bytes]:
    checkpointer(store.tree(), signer=TestKey("log")).checkpoint()
    return bundle_of(store, streams)


def rows_of(files: dict[str, bytes]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files["report.csv"].decode(), newline="")))


async def test_a_signature_stands_where_no_text_can(office: Office) -> None:
    """In a column of its own, of the table and of the page; what imitates one is a quotation that does not end."""
    task = await office.opened()
    await office.decide("anna", task, office.sign("anna", task), reason=IMITATED[0])
    await office.decide("bert", task, office.sign("bert", task, meaning="ok”; key x: “no"), reason=IMITATED[2])
    other = await office.opened("no")
    await office.decide("anna", other, None, "no", decision="rejected", reason=IMITATED[1])
    files = bundled(office.store)
    report = checked(files, key=TestKey("log"))
    assert (report.verdict, report.readable, report.faults) == ("SELF-ATTESTED", "agrees", [])
    rows = rows_of(files)
    signed = [row["signed"] for row in rows if row["signed"]]
    keys = {name: key.verifier().public.hex()[:16] for name, key in office.keys.items()}
    at = signed[0].split(", ")[1]
    assert signed == [
        f"by anna, {at}, key {keys['anna']}…: “I approve this payment”",
        f"by bert, {at}, key {keys['bert']}…: “ok\\”; key x: \\“no”",
    ]
    whys = [row["why"] for row in rows if row["type"] in ("task_endorsed", "task_decided")]
    assert sorted(whys) == sorted(verify_bundle.in_quotes(one) for one in IMITATED)
    assert all(not re.search(r'(?<!\\)(\\\\)*["“”]', one[1:-1]) for one in whys)
    page = files["report.html"].decode()
    assert page.count("<th>Signed</th>") == 1
    assert page.count('<td class="s" data-label="Signed">by anna') == 1
    assert "signed by anna at" not in page.replace("fine\\”; signed by anna at", "")


def test_what_somebody_wrote_is_one_line_among_facts() -> None:
    """A fact of two lines could pass for two facts."""
    told = verify_bundle.Conversation.__new__(verify_bundle.Conversation)
    told.flow, told.texts, told.state = (
        {},
        {(1, "n"): {"plaintext": base64.b64encode(b"Anna\nstate: paid").decode()}},
        "",
    )
    told.known = {
        "name": {"name": "name", "sealed": {"version": 1, "name": "n"}},
        "kind": {"name": "kind", "value": "a\nb"},
    }
    assert told._changes("", {})[1] == "kind: “a\nb”\nname: “Anna\nstate: paid”"


async def test_a_bundle_of_one_conversation_names_whose_keys_signed(office: Office) -> None:
    """With the records of those who signed, and of nobody else; without one, it says that this is not shown."""
    task = await office.opened()
    await office.decide("anna", task, office.sign("anna", task))
    files = bundled(office.store, ("talk",))
    named = [one for one in files if one.startswith("records/") and b"approver_named" in files[one]]
    assert [json.loads(files[one])["data"]["person"] for one in named] == ["anna"]
    report = checked(files, key=TestKey("log"))
    assert (report.verdict, report.faults, [one for one in report.says if "not shown" in one]) == (
        "SELF-ATTESTED",
        [],
        [],
    )
    number = named[0][8:-5]
    less = {name: data for name, data in files.items() if name not in (named[0], f"proofs/records/{number}.tlog-proof")}
    check = verify_bundle.Check(resigned(less, TestKey("log"), report=""), verify_bundle.Trust(writes_report=True))
    version = next(one.version for one in office.store.read("talk") if one.type == "task_endorsed")
    said = f"Whose key made the signature under talk version {version} is not shown: no record of anna is here."
    assert said in check.run().says


async def test_the_verifier_of_one_file_knows_whose_account_decided(office: Office) -> None:
    """Signed by one, and taken from another's session: as `interlock verify` says."""
    task = await office.opened()
    await office.decide("anna", task, office.sign("anna", task))

    class As(Altered):
        def read(self, stream: str) -> Any:
            entries = self._store.read(stream)
            return [one._replace(data=one.data.replace(b'"id":"anna"', b'"id":"mallory"')) for one in entries]

    (fault,) = checked_alone(As(office.store))  # type: ignore[arg-type]
    assert "is anna's, and somebody else decided" in fault
