"""`interlock approver`, and the signature that `interlock decide --sign` puts under a decision."""

from datetime import UTC, datetime
from pathlib import Path

from ..contracts.approval import SignedApproval
from ..contracts.errors import CallError, InterlockError
from ..contracts.events import TaskOpened
from ..contracts.protection import KeepingStore
from ..contracts.values import listed
from ..persistence.evidence.keys import SigningKey, new_key
from ..service.approvers import approvers_of, name_approver, refuse_second_key, signed_approval
from .finding import existing_log, writable_log
from .seeing import acting, checked_ground
from .terminal import Terminal, safe, write_json


def new(db: Path | None, person: str, key: Path, accounts: list[str], who: str, ground: str, *, as_json: bool) -> None:
    """Make the key, then record it: a key that nobody knows signs nothing."""
    by, person = acting(who), acting(person)
    accounts = [acting(one) for one in accounts]
    with writable_log(db) as store:
        refuse_second_key(store, person)
        public = new_key(key, person).verifier().public.hex()
        try:
            name_approver(store, by=by, person=person, accounts=accounts, key=public, ground=ground)
        except InterlockError:
            key.unlink()  # nobody knows it, and the next try makes another
            raise
    if as_json:
        write_json({"person": person, "accounts": accounts, "key": public, "file": str(key)})
    else:
        Terminal().line(f"{safe(person)} signs with {public[:16]}…; the private key is in {key}: for them alone.")


def revoke(db: Path | None, person: str, who: str, ground: str, *, as_json: bool) -> None:
    """Raises `CallError` where nobody of that name signs, and without a ground."""
    ground = checked_ground(ground, needed=True)
    with writable_log(db) as store:
        known = approvers_of(store).known()
        if person not in known or known[person].key is None:
            signing = sorted(one.person for one in known.values() if one.key)
            raise CallError(f"{person!r} signs with no key.", fix=f"Those who sign are {listed(signing)}.")
        name_approver(store, by=acting(who), person=person, accounts=known[person].accounts, key=None, ground=ground)
    write_json({"person": person, "key": None}) if as_json else Terminal().line(f"{safe(person)} signs no more.")


def listing(db: Path | None, *, as_json: bool) -> None:
    with existing_log(db) as store:
        found = list(approvers_of(store).known().values())
    if as_json:
        rows = [{"person": one.person, "accounts": list(one.accounts), "key": one.key} for one in found]
        write_json({"approvers": rows})
        return
    terminal = Terminal()
    for one in found:
        terminal.line(f"{safe(one.person)}: {one.key or 'no key any more'} {' '.join(map(safe, one.accounts))}")
    if not found:
        terminal.line("Nobody signs approvals. Begin with `interlock approver new PERSON --key FILE`.")


def signature(
    store: KeepingStore, stream: str, number: int, opened: TaskOpened, decision: str, *, key: Path, meaning: str
) -> SignedApproval:
    """The decision under the key in the file. Raises `CallError` where it is nobody's who is named in this log."""
    if len(meaning) > 200 or not meaning.isprintable():
        raise CallError("The meaning is longer than 200 characters, or no single line.", fix="Give a short --meaning.")
    signer = SigningKey(key)
    public = signer.verifier().public.hex()
    person = next((one.person for one in approvers_of(store).known().values() if one.key == public), None)
    if person is None:
        raise CallError(
            "The key is nobody's who may sign in this log.",
            where=str(key),
            fix="Have it named first: `interlock approver new PERSON --key FILE` makes and names one.",
        )
    return signed_approval(
        signer,
        person=person,
        conversation=stream,
        task=number,
        decision=decision,
        meaning=meaning or f"I decide: {decision}",
        opened=opened,
        leaf=store.read(stream, after=number, limit=1)[0].leaf,
        now=datetime.now(UTC),
    )
