"""Nothing lies in a bundle that nobody checked: no file under a name that a bundle has, and no field in one."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from interlock.contracts.canonical import canonical, parsed
from interlock.persistence.evidence import verify_bundle as alone
from interlock.persistence.evidence.anchors import TimestampAnchor
from interlock.persistence.evidence.bundle import Selection, bundled
from interlock.persistence.evidence.policy import Policy
from interlock.persistence.memory_store import MemoryStore
from support.archives import archived_to, each_file, lived, store_of
from support.evidence import ORIGIN, TestKey, checkpointer, filled
from support.tampering import bundle_of, checked, resigned
from support.timestamping import Authority

Files = dict[str, bytes]
STAMPED_AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
NOTHING_ASKS = "unread: files that nothing in the bundle asks for, so that nobody checked them: "


def made() -> MemoryStore:
    store = MemoryStore(origin=ORIGIN)
    filled(store, 3)
    checkpointer(store.tree()).checkpoint()
    return store


STORE = made()
STREAM = STORE.streams()[0]
KINDS: dict[str, Files] = {"all": bundle_of(STORE), "one": bundle_of(STORE, (STREAM,))}


def faults(files: Files) -> list[str]:
    report = checked(resigned(files))
    assert report.verdict == ("BROKEN" if report.faults else "SELF-ATTESTED")
    return list(report.faults)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name",
    ["entries/x.jsonl", "payloads/00000000-0000-0000-0000-000000000000.json", f"flows/{'0' * 63}1.json", "heads/x.json",
     "sealed/x.json", "tile/entries/007", "tile/3/000", "proofs/x/0.tlog-proof", "proofs/records/999.tlog-proof"],
)  # fmt: skip
def test_a_file_that_nothing_asks_for_is_broken(kind: str, name: str) -> None:
    """Though its name is one that a bundle has, and the key signed its digest."""
    assert faults({**KINDS[kind], name: b'{"type":"refund_approved"}\n'}) == [f"{NOTHING_ASKS}{name}."]


@pytest.mark.parametrize(
    "name", ["archived/5.json", "records/5.json", "archive.json", "consistency/3", "anchors/9-1.tsr"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_lies_is_broken(kind: str, name: str) -> None:
    assert len(faults({**KINDS[kind], name: b"lie"})) >= 1


def test_many_are_counted() -> None:
    more = {f"heads/{one}.json": b"{}" for one in "abcdefg"}
    assert faults(KINDS["all"] | more)[0].endswith(
        "heads/a.json, heads/b.json, heads/c.json, heads/d.json, heads/e.json and 2 more."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_one_holds(kind: str) -> None:
    """The control."""
    assert faults(KINDS[kind]) == []


# -- fields ------------------------------------------------------------------------------------------------


def with_field(files: Files, name: str, field: str = "note") -> Files:
    value: Any = parsed(files[name])
    (value[0] if isinstance(value, list) else value)[field] = "approved by the DPO"
    return {**files, name: canonical(value)}


def test_a_field_more_is_broken() -> None:
    """People would read it, and nothing checks it: in a text's line, a conversation's end, the manifest, the policy."""
    payloads = next(name for name in KINDS["one"] if name.startswith("payloads/"))
    (fault,) = faults(with_field(KINDS["one"], payloads))
    assert fault.endswith("has other fields than it should: 'note'.")
    (fault,) = faults(with_field(KINDS["one"], payloads, "not_disclosed"))
    assert fault.endswith("has other fields than it should: 'not_disclosed'.")
    (fault,) = faults(with_field(KINDS["one"], f"heads/{STREAM}.json"))
    assert fault == f"complete: heads/{STREAM}.json has other fields than it should: 'note'."
    report = checked(resigned(KINDS["all"], note="approved by the DPO"))
    assert report.faults == ["opening: the manifest has other fields than it should: 'note'."]
    report = checked(resigned(KINDS["all"], scope="everything"))
    assert report.faults == ["opening: the manifest is of 'everything', which is no part of a log."]
    (fault,) = faults({**KINDS["all"], "policy": b"# approved\n" + KINDS["all"]["policy"]})
    assert fault == "opening: the policy has a comment, which nothing checks."


def test_a_record_stands_under_its_number() -> None:
    name = next(one for one in KINDS["one"] if one.startswith("records/"))
    files = {**KINDS["one"], "records/77.json": KINDS["one"][name]}
    assert faults(files) == ["tree: records/77.json is another record."]


# -- proofs for others, and time stamps ---------------------------------------------------------------------


@pytest.mark.parametrize("streams", [None, "one"])
def test_a_proof_for_a_checkpoint_of_somebody_else_is_looked_at(streams: str | None) -> None:
    """Without that checkpoint, as far as it can be: that it leads to this tree, by as many hashes as it takes."""
    store, files = MemoryStore(origin=ORIGIN), dict[str, bytes]()
    filled(store, 4)
    size = checkpointer(store.tree()).checkpoint().checkpoint.size
    sizes, one = tuple(range(1, size)), None if streams is None else (store.streams()[0],)
    bundled(
        store,
        store.tree(),
        [TestKey()],
        Policy((TestKey().verifier(),)),
        Selection(one, since=sizes),
        files.__setitem__,
    )
    assert faults(files) == []
    for number in sizes:
        name = f"consistency/{number}"
        lines = files[name].decode().splitlines(keepends=True)
        for other in (
            "".join(lines[:-1]),
            "".join([*lines, lines[-1]]),
            files[name].decode() + "x",
            f"{lines[0].strip()}",
        ):
            assert faults({**files, name: other.encode()}), (number, other)
        if number & (number - 1) or one is None:
            flipped = base64.b64encode(bytes(32)).decode() + "\n"
            said = f"unread: {name} is no proof that the log extends a checkpoint of that size."
            assert faults({**files, name: "".join([*lines[:-1], flipped]).encode()}) == [said]
    (fault,) = faults({**files, "consistency/007": files["consistency/7"]})
    assert "consistency/007 is no proof" in fault


def test_a_time_stamp_is_of_its_checkpoint() -> None:
    """Also where no certificates were brought: then nothing says when, and nothing else may lie there."""
    store, authority = MemoryStore(origin=ORIGIN), Authority(STAMPED_AT)
    filled(store, 2)
    checkpointer(store.tree(), anchors=[TimestampAnchor("https://tsa.example", authority.post)]).checkpoint()
    files = bundle_of(store)
    (name,) = [one for one in files if one.startswith("anchors/")]
    assert faults(files) == []
    size = name[8:].partition("-")[0]
    assert faults({**files, name: b"approved"}) == [
        f"outside: {name} is no time stamp of the checkpoint of size {size}."
    ]
    (fault,) = faults({**files, "anchors/1-1.tsr": files[name]})
    assert fault == "outside: anchors/1-1.tsr is over a checkpoint that is not in the bundle."


def test_a_stamp_of_a_checkpoint_that_was_deleted_is_left_out() -> None:
    """Or an honest bundle would hold a stamp of nothing. A deleted older checkpoint alone breaks no log."""
    store, authority = MemoryStore(origin=ORIGIN), Authority(STAMPED_AT)
    for seed in (1, 2):
        filled(store, 2, seed=seed)
        anchors = [TimestampAnchor("https://tsa.example", authority.post)] if seed == 1 else []
        checkpointer(store.tree(), anchors=anchors).checkpoint()
    tree = store.tree()
    newest = tree.checkpoints()[-1:]
    assert any(one.startswith("anchors/") for one in bundle_of(store))
    with patch.object(type(tree), "checkpoints", lambda self: newest):
        files = bundle_of(store)
    assert [one for one in files if one.startswith(("anchors/", "checkpoints/"))] == []
    assert faults(files) == []


# -- archives ----------------------------------------------------------------------------------------------


def archive(folder: Path) -> Files:
    with store_of("sqlite", folder) as store:
        lived(store, 2, 1)
        archived_to(store, folder / "old", checkpointer(store.tree()))
    return {one.relative_to(folder / "old").as_posix(): one.read_bytes() for one in each_file(folder / "old")}


def test_what_an_archive_says_of_its_conversations_is_what_their_entries_say(tmp_path: Path) -> None:
    files = archive(tmp_path)
    assert faults(files) == []
    said: Any = parsed(files["archive.json"])
    stream = said["conversations"][0]["stream"]
    for field, value in (
        ("length", 99),
        ("leaf", "00" * 32),
        ("started", "2020"),
        ("updated", "2020"),
        ("note", "fine"),
    ):
        lying = {**said, "conversations": [{**said["conversations"][0], field: value}, *said["conversations"][1:]]}
        (fault,) = faults({**files, "archive.json": canonical(lying)})
        assert fault == f"listed: archive.json says something else of {stream} than its entries: {field}."
    (fault,) = faults({**files, "archive.json": canonical({**said, "conversations": said["conversations"][1:]})})
    assert fault == "listed: archive.json lists other conversations than there are."
    assert faults({**files, "archive.json": b"lie"}) == ["listed: archive.json: it is no JSON."]
    (fault,) = faults(with_field(files, "archive.json"))
    assert fault == "listed: archive.json has other fields than it should: 'note'."


def test_what_is_sealed_is_what_is_listed(tmp_path: Path) -> None:
    """Nobody can open it here: it is of those texts, of their lengths, and of nothing else."""
    files = archive(tmp_path)
    name = next(one for one in files if one.startswith("sealed/"))
    rows: Any = parsed(files[name])
    longer = base64.b64encode(base64.b64decode(rows[0]["body"]) + b"x").decode()
    for lying, words in (
        (rows[1:], "holds other texts than are listed as withheld"),
        ([{**rows[0], "body": longer}, *rows[1:]], "is another than the one that is listed"),
        ([{**rows[0], "nonce": "a lie"}, *rows[1:]], "is another than the one that is listed"),
        ([{**rows[0], "note": "fine"}, *rows[1:]], "has other fields than it should: 'note'"),
    ):
        (fault,) = faults({**files, name: canonical(lying)})
        assert (fault.startswith("listed: "), words in fault) == (True, True), fault


def test_what_was_looked_at_is_known() -> None:
    """The dictionary behind it: asking whether a file is there is not looking at it."""
    files = alone.Consulted({"a": b"1", "b": b"2"})
    assert ("a" in files, files.get("c"), files.get("b")) == (True, None, b"2")
    assert files.used == {"b"}
