"""Every recorded trajectory of the benchmarks becomes a stream that verifies, once, and is told without a flow."""

from collections import Counter
from pathlib import Path

import pytest

from interlock.cli.story import told
from interlock.contracts.imported import MessageImported, words_of
from interlock.persistence.memory_store import MemoryStore
from interlock.service.auditing import audited
from interlock.service.importing import import_files
from interlock.service.loading import recorded
from support.conversations import DATA

FILES = ("tau_airline/gpt-4o_tasks00-24.json", "tau2_retail/gpt-4.1_40tasks.json", "tau2_telecom/gpt-4.1_first3.json")


@pytest.mark.parametrize("name", FILES)
def test_every_trajectory_is_imported_and_verifies(name: str) -> None:
    """No record is malformed; each message has its event, each call its result, and again nothing is added."""
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no trajectories at {path}; set INTERLOCK_DATA")
    store = MemoryStore()
    done = import_files(store, [path], "tau")
    assert done.malformed == 0
    assert done.streams == len(store.streams()) > 0
    assert import_files(store, [path], "tau").known == done.streams
    assert audited(store).ok
    words, roles, answered = Counter[str](), Counter[str](), 0
    for stream in store.streams():
        entries = recorded(store.read(stream))
        assert len(told(entries, None, store.payloads(stream))) == len(entries)
        for one in entries:
            if isinstance(one.event, MessageImported):
                roles[one.event.role] += 1
                answered += one.event.answers is not None
                words.update(words_of(one.event))
    print(f"{name}: {done.streams} streams, {sum(roles.values())} messages, {done.calls} calls, {len(words)} words")
    assert sum(roles.values()) == done.messages
    assert answered == roles["tool"] == done.calls
    assert words["message"] > 0


def test_the_file_as_the_benchmark_writes_it(tmp_path: Path) -> None:
    """The object with `simulations` gives the same streams as the list of them."""
    path = DATA / FILES[2]
    if not path.is_file():
        pytest.skip(f"no trajectories at {path}; set INTERLOCK_DATA")
    whole = tmp_path / "run.json"
    whole.write_text(
        '{"timestamp": "x", "tasks": [{"id": 1}], "simulations": ' + path.read_text("utf-8") + "}", "utf-8"
    )
    one, other = MemoryStore(), MemoryStore()
    import_files(one, [path], "tau")
    import_files(other, [whole], "tau")
    assert one.streams() == other.streams()
