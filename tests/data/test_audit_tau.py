"""The written rules of both domains over every trajectory: what is broken, and by whom not."""

from collections import Counter
from pathlib import Path

import pytest

from interlock.fsm.mark_file import read_marks
from interlock.fsm.policies.alone import read_policies
from interlock.persistence.memory_store import MemoryStore
from interlock.service.importing import import_files
from interlock.service.policing import Judge, PolicyAudit, audited_policies
from support.conversations import DATA

AUDITS = Path(__file__).parents[2] / "examples" / "audits"


def audited(domain: str, name: str) -> PolicyAudit:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no trajectories at {path}; set INTERLOCK_DATA")
    store = MemoryStore()
    done = import_files(store, [path], "tau", marks=read_marks((AUDITS / f"{domain}_marks.yaml").read_bytes()))
    assert done.malformed == 0
    judge = Judge(read_policies((AUDITS / f"{domain}_policies.yaml").read_bytes()))
    found = audited_policies(store, store.streams(), lambda _: judge)
    assert found.conversations == done.streams
    return found


def broken(found: PolicyAudit) -> Counter[str]:
    return Counter({name: one.counts["broken"] for name, one in found.judged.items() if one.counts["broken"]})


def test_the_rules_of_the_airline() -> None:
    """Real breaches of the rules that a gate would have kept; each names its event."""
    found = audited("airline", "tau_airline/gpt-4o_tasks00-24.json")
    print(f"airline: {dict(broken(found))}")
    assert broken(found)["yes_before_write"] >= 8
    assert broken(found)["payment_mix"] >= 2
    assert broken(found)["basic_economy_stays"] >= 4
    assert not broken(found)["nothing_after_transfer"]
    assert all(one.version > 0 and one.word for one in found.breaches)


def test_the_rules_of_the_shop() -> None:
    """A clean set but for its style: no account is read before its owner is known, no write lacks a yes."""
    found = audited("retail", "tau2_retail/gpt-4.1_40tasks.json")
    print(f"retail: {dict(broken(found))}")
    hard = broken(found)
    assert hard.pop("one_call_at_a_time") == 26
    assert sum(hard.values()) <= 1
