"""Trajectories of both benchmarks, and reading a JSON document of any size piece by piece."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.imported import MessageImported, words_of
from interlock.persistence.memory_store import MemoryStore
from interlock.service import foreign_files
from interlock.service.foreign import Malformed
from interlock.service.foreign_files import records
from interlock.service.importing import import_files
from interlock.service.loading import recorded

FIRST: dict[str, Any] = {
    "task_id": 3,
    "trial": 1,
    "reward": 0.0,
    "info": {"task": {"instruction": "long"}},
    "traj": [
        {"role": "user", "content": "hello"},
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "a", "name": "look", "content": "Error: nothing there"},
    ],
}
SECOND: dict[str, Any] = {
    "id": "s1",
    "task_id": "40",
    "reward_info": {"reward": 1.0},
    "messages": [
        {"role": "assistant", "content": "Hi", "timestamp": "2025-08-01T16:16:37.295213", "cost": 0.0},
        {
            "role": "user",
            "tool_calls": [{"id": "u", "name": "reboot", "arguments": {"now": True}, "requestor": "user"}],
        },
        {"role": "tool", "id": "u", "content": "done", "requestor": "user", "error": False},
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "x", "name": "look", "arguments": {"at": "A"}, "requestor": "assistant"},
                {"id": "y", "name": "pay", "arguments": {}, "requestor": "assistant"},
            ],
        },
        {"role": "tool", "id": "y", "content": None, "requestor": "assistant", "error": True},
        {"role": "tool", "id": "x", "content": "Error is the order's name", "requestor": "assistant", "error": False},
    ],
}


def imported(path: Path, document: Any) -> tuple[MemoryStore, list[list[Any]]]:
    path.write_text(json.dumps(document), "utf-8")
    store = MemoryStore()
    import_files(store, [path], "tau")
    return store, [[one.event for one in recorded(store.read(stream))] for stream in store.streams()]


def test_a_trajectory_of_the_first_benchmark(tmp_path: Path) -> None:
    """A tool's answer that begins with `Error` is a failure; task, trial and reward are kept beside."""
    store, ((_, *messages),) = imported(tmp_path / "a.json", [FIRST])
    assert [word for one in messages for word in words_of(one)] == ["message", "tool:look"]
    assert messages[-1].failed
    (stream,) = store.streams()
    about = next(one.text for at, one in store.payloads(stream).items() if at.name == "about")
    assert json.loads(about) == {"reward": 0.0, "task_id": 3, "trial": 1}


@pytest.mark.parametrize("document", [[SECOND], {"info": {"x": [1]}, "tasks": [1, 2], "simulations": [SECOND]}])
def test_a_trajectory_of_the_second_benchmark(tmp_path: Path, document: Any) -> None:
    """A list, or the whole file with its tasks; the customer's own tools have no words, and times are kept as UTC."""
    store, ((_, *messages),) = imported(tmp_path / "a.json", document)
    assert [word for one in messages for word in words_of(one)] == ["tool:look", "tool:pay", "done:look"]
    assert messages[0].at == datetime(2025, 8, 1, 16, 16, 37, 295213, tzinfo=UTC)
    called = messages[2]
    assert isinstance(called, MessageImported)
    assert called.answers is not None
    assert (called.answers.by, called.answers.tool) == ("customer", "reboot")
    (stream,) = store.streams()
    texts = {(at.version, at.name): one.text for at, one in store.payloads(stream).items()}
    assert (texts[4, "call.0"], texts[5, "text"]) == ('{"at": "A"}', "")
    assert json.loads(texts[0, "about"])["reward"] == 1.0


@pytest.mark.parametrize(
    ("text", "number", "says"),
    [
        ('{"simulations": 7}', 1, "the object has no list under 'simulations'; nothing after it can be read"),
        ('"x"', 1, "the file is neither a list of trajectories nor an object with `simulations`"),
        ("[7]", 1, "a trajectory is an object with `traj` or `messages`"),
        ('[{"traj": 1}]', 1, "traj: there is no list of messages under `traj` or `messages`"),
        ('[{"a": 1} {"b": 2}]', 2, "it is not JSON: a comma was expected"),
        ('[{"messages": [{"role": "user", "content": "x"}]}, {"messages"', 2, "it is not JSON: Expecting ':'"),
        ('[{"messages": [{"role": "user", "content": "x", "timestamp": "soon"}]}]', 1, "messages[0].timestamp: 'soon'"),
        ('[{"messages": [{"role": "tool", "content": "x"}]}]', 1, "messages[0].tool_call_id: a result says which call"),
    ],
)  # fmt: skip
def test_a_malformed_trajectory_is_reported_by_its_number(tmp_path: Path, text: str, number: int, says: str) -> None:
    """Where the document itself breaks, what was read before it stands, and nothing after it is guessed."""
    path = tmp_path / "a.json"
    path.write_text(text, "utf-8")
    faults = [(one.number, one.problem) for one in records(path, "tau") if one.problem]
    assert len(faults) >= 1
    assert faults[-1][0] == number
    assert says in faults[-1][1]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text(max_size=8) | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(
    items=st.lists(VALUES, max_size=6),
    chunk=st.integers(1, 40),
    wrapped=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_a_document_read_in_pieces_is_the_document(
    tmp_path_factory: pytest.TempPathFactory, items: list[Any], chunk: int, wrapped: bool, indent: int | None
) -> None:
    """However its bytes are cut: the same items in the same order, with nothing before or after them."""
    path = tmp_path_factory.mktemp("document") / "a.json"
    document = {"first": {"simulations": []}, "simulations": items, "after": 1} if wrapped else items
    path.write_text(json.dumps(document, indent=indent, ensure_ascii=False), "utf-8")
    before = foreign_files._CHUNK
    foreign_files._CHUNK = chunk
    try:
        with foreign_files._Window(path) as window:
            assert list(window.trajectories()) == items
    finally:
        foreign_files._CHUNK = before


def test_a_cut_document_never_reads_as_a_whole_one(tmp_path: Path) -> None:
    """Every proper prefix of a document says that it breaks."""
    text = json.dumps([{"a": [1, "é"]}, {"b": 2}])
    path = tmp_path / "a.json"
    for end in range(len(text)):
        path.write_text(text[:end], "utf-8")
        with foreign_files._Window(path) as window, pytest.raises(Malformed):
            list(window.trajectories())
