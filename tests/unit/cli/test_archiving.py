"""archive, prune, and what every other command says of a conversation whose entries are in an archive."""

import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts.errors import CallError
from interlock.persistence.evidence import verify_bundle
from interlock.persistence.evidence.eras import eras_of
from interlock.persistence.evidence.keys import SigningKey
from interlock.service.pruning import opened
from interlock.service.wiring import open_log


@pytest.fixture
def signed(run: Any, log: Path) -> Path:
    assert run("key", "new", "--db", log).code == 0
    return log


@pytest.fixture
def ended(run: Any, signed: Path) -> list[str]:
    """What the demo's log has to archive."""
    found = run("checkpoint", "--db", signed)
    assert found.code == 0
    return list(run("archive", signed.with_name("x.zip"), "--dry-run", "--db", signed, "--json").json["conversations"])


@pytest.fixture
def archived(run: Any, signed: Path, ended: list[str]) -> Path:
    path = signed.with_name("old.zip")
    assert run("archive", path, "--db", signed).code == 0
    return path


def prune(run: Any, log: Path, path: Path, *more: str) -> Any:
    return run("prune", "--archive", path, "--least-days", 0, "--as", "dpo", "--ground", "rule 4", *more, "--db", log)


@pytest.fixture
def pruned(run: Any, signed: Path, archived: Path) -> Path:
    ran = prune(run, signed, archived)
    assert ran.code == 0, ran.words
    return signed


def test_a_dry_run_says_what_would_go_and_what_stays(run: Any, signed: Path, ended: list[str]) -> None:
    """Nothing is written; each that stays is named with its reason."""
    before = signed.read_bytes()
    found = run("archive", signed.with_name("x.zip"), "--dry-run", "--db", signed, "--json").json
    assert (found["archive"], found["conversations"], found["more"]) == (None, ended, 0)
    assert len(ended) > 3
    assert {"It is open."} <= {one["why"] for one in found["stay"]}
    words = run("archive", signed.with_name("x.zip"), "--dry-run", "--db", signed).words
    assert f"{len(ended)} conversations, {found['events']} events would be archived." in words
    assert "It is open." in words
    assert (signed.with_name("x.zip").exists(), signed.read_bytes()) == (False, before)
    early = run("archive", signed.with_name("x.zip"), "--before", "2001-01-01", "--db", signed)
    assert (early.code, "There is nothing to archive in this range." in early.words) == (2, True)
    assert "'x' is no date." in run("archive", "x.zip", "--before", "x", "--db", signed).words
    named = run("archive", signed.with_name("x.zip"), "--name", "Anna K.", "--db", signed).words
    assert "'Anna K.' cannot be an archive's name: it stands in the log for good." in named


def test_a_dry_run_of_an_archive_or_a_prune_ends_as_the_real_one(
    run: Any, signed: Path, archived: Path, tmp_path: Path
) -> None:
    """0 or 2: nothing in the range, a name that cannot be, another key, what ended too lately, a hold."""
    path = signed.with_name("x.zip")
    for more in (
        ("--before", "2001-01-01"),
        ("--name", "Anna K."),
        ("--key", tmp_path / "no.key"),
    ):
        words = ("archive", path, *more, "--db", signed)
        assert [run(*words, *dry).code for dry in (("--dry-run",), ())] == [2, 2], more
        assert not path.exists()
    old = ("prune", "--archive", archived, "--as", "dpo", "--ground", "rule 4", "--db", signed)
    assert [run(*old, *dry).code for dry in (("--dry-run",), ())] == [2, 2]
    (one, *_) = run("archive", path, "--dry-run", "--db", signed, "--json").json["conversations"]
    run("hold", "--conversation", one, "--ground", "case 4", "--db", signed)
    assert [prune(run, signed, archived, *dry).code for dry in (("--dry-run",), ())] == [2, 2]


def test_the_archive_verifies_alone(run: Any, signed: Path, archived: Path, ended: list[str]) -> None:
    """By the verifier that lies in it, without this package; and it holds no text that can be read."""
    key = run("key", "show", "--db", signed).out.strip()
    folder = archived.with_name("taken")
    shutil.unpack_archive(archived, folder)
    command = [sys.executable, "-I", str(folder / "verify_bundle.py"), str(folder), "--key", key]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout.startswith("SELF-ATTESTED")) == (20, True), ran.stdout
    assert f"of {len(ended)} conversations; 0 texts fit their commitments" in ran.stdout
    with closing(open_log(signed)) as store:
        texts = [one.plaintext for stream in ended for one in store.payloads(stream).values() if len(one.plaintext) > 8]
    assert len(texts) > 10
    said_by_flows = ("flows/", "report.", "verify_bundle.py")  # words that people may have used, too
    files = b"".join(data for name, data in verify_bundle.read(archived).items() if not name.startswith(said_by_flows))
    assert [one for one in texts if one in files] == []


def test_pruning_from_the_command_line(run: Any, signed: Path, archived: Path, ended: list[str]) -> None:
    """First dry; then it goes, on the record, and the log verifies, decides the same and can be exported."""
    before = run("log", "--db", signed, "--json", "--limit", 100).json["conversations"]
    assert "This needs a ground." in run("prune", "--archive", archived, "--db", signed).words
    young = run("prune", "--archive", archived, "--ground", "rule 4", "--db", signed).words
    assert "conversations ended less than 183 days ago" in young
    dry = prune(run, signed, archived, "--dry-run")
    assert (dry.code, "would go: the archive old verifies and holds them as they are here" in dry.words) == (0, True)
    assert run("log", "--db", signed, "--json", "--limit", 100).json["conversations"] == before
    done = prune(run, signed, archived, "--json").json
    assert (done["pruned"], done["conversations"]) == (True, len(ended))
    found = run("log", "--db", signed, "--json", "--limit", 100).json
    assert [one for one in before if one["id"] not in ended] == found["conversations"]
    assert found["archived"] == {"old": len(ended)}
    said = f"Pruned from this log and archived: {len(ended)} conversations in old."
    assert said in run("log", "--db", signed).words
    act = run("access", "--db", signed, "--json").json["acts"][0]
    assert (act["type"], act["by"], act["ground"], act["archive"]) == ("segment_pruned", "dpo", "rule 4", "old")
    assert act["says"].startswith(f"pruned {len(ended)} conversations ({done['events']} entries) that are archived")
    again = prune(run, signed, archived)
    assert (again.code, "All that old holds was pruned before" in again.words) == (0, True)


def test_the_rest_verifies_and_is_exported(run: Any, pruned: Path, archived: Path, ended: list[str]) -> None:
    """verify, doctor, checkpoint, replay and a bundle of everything: all fine, and all say what is not here."""
    said = f"{len(ended)} conversations in old."
    ran = run("verify", "--db", pruned)
    assert (ran.code, said in ran.words, "`--archive PATH` looks at what is there." in ran.words) == (0, True, True)
    ran = run("verify", "--archive", archived, "--db", pruned)
    assert (ran.code, "Looked at: old." in ran.words) == (0, True), ran.words
    assert run("checkpoint", "--db", pruned).code == 0
    ran = run("replay", "--all", "--db", pruned)
    assert (ran.code, said in ran.words) == (0, True)
    found = run("backtest", "bank", "--jobs", 1, "--db", pruned, "--json", "-").json
    assert 0 < found["archived"]["old"] <= len(ended)
    assert " in old." in run("backtest", "bank", "--jobs", 1, "--db", pruned).words
    assert run("replay", "--all", "--db", pruned, "--json").json["archived"] == {"old": len(ended)}
    findings = {one["name"]: one for one in run("doctor", "--full", "--db", pruned, "--json").json["findings"]}
    assert findings["leaves"]["result"] == "ok"
    assert (findings["archives"]["result"], said in findings["archives"]["says"]) == ("ok", True)
    assert findings["append-only"]["result"] == "ok"
    bundle = pruned.with_name("rest.zip")
    assert run("export", "--all", "--bundle", bundle, "--db", pruned).code == 0
    key = verify_bundle.Key(run("key", "show", "--db", pruned).out.strip())
    head = verify_bundle.read(archived)["checkpoint"]
    report = verify_bundle.check(verify_bundle.read(bundle), verify_bundle.Trust([key], heads=[("archive", head)]))
    assert (report.faults, report.archived > 0) == ([], True)
    assert any("are in the archive old, and were not looked at here." in one for one in report.says)


def test_an_archive_that_was_not_pruned_breaks_nothing(run: Any, signed: Path, archived: Path, tmp_path: Path) -> None:
    """It is looked at, and said to be a copy. A path where nothing is says nothing of the log."""
    ran = run("verify", "--archive", archived, "--db", signed)
    says = "it verifies and is of this very tree; nothing was pruned to it, so this log has all that it holds."
    assert (ran.code, says in ran.words, "BROKEN" in ran.words) == (0, True, False), ran.words
    found = run("verify", "--archive", archived, "--db", signed, "--json").json
    assert (found["tree"]["faults"], found["tree"].get("looked_at", [])) == ([], [])
    assert len(found["tree"]["remarks"]) == 1
    ran = run("verify", "--archive", tmp_path / "typo.zip", "--db", signed)
    assert (ran.code, "There is no such archive." in ran.words, "BROKEN" in ran.words) == (2, True, False)


def test_another_archive_is_not_taken_for_the_one(run: Any, pruned: Path, archived: Path) -> None:
    """A bundle that is none, and one that was touched."""
    bundle = pruned.with_name("rest.zip")
    assert run("export", "--all", "--bundle", bundle, "--db", pruned).code == 0
    ran = run("verify", "--archive", bundle, "--db", pruned)
    assert (ran.code, "This is no archive: it does not say what it keeps for the log." in ran.words) == (2, True)
    body = bytearray(archived.read_bytes())
    body[body.index(b"c2sp.org/tlog-proof@v1") + 40] ^= 1
    archived.write_bytes(body)
    ran = run("verify", "--archive", archived, "--db", pruned)
    assert (ran.code, "The archive " in ran.words, "BROKEN" in ran.words) == (1, True, True)


COMMANDS = [
    ("log",),
    ("log", "--at", "1"),
    ("verify",),
    ("replay",),
    ("fork", "--at", "1"),
    ("diff", "ID"),
    ("export",),
    ("export", "--bundle", "b.zip"),
    ("receipt",),
    ("hold", "--ground", "x", "--conversation"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_says_where_it_is(run: Any, pruned: Path, ended: list[str], words: tuple[str, ...]) -> None:
    """Named by the beginning of its id: archived in `old`, not unknown and not broken."""
    head, *rest = (ended[0] if one == "ID" else one for one in words)
    arguments = [head, *rest, ended[0][:12]] if rest[-1:] == ["--conversation"] else [head, ended[0][:12], *rest]
    ran = run(*arguments, "--db", pruned)
    said = f"The entries of '{ended[0]}' were pruned from this log; they are archived in 'old'."
    assert (ran.code, said in ran.words) == (2, True), ran.words


def test_it_is_read_from_the_archive(run: Any, signed: Path, archived: Path, ended: list[str]) -> None:
    """Listed and told as before, with its texts as long as the log has their keys; who reads them is in the log."""
    before = run("log", ended[0], "--texts", "--as", "anna", "--db", signed).out
    assert prune(run, signed, archived).code == 0
    listed = run("log", "--archive", archived, "--db", signed, "--json", "--limit", 100).json["conversations"]
    assert sorted(one["id"] for one in listed) == sorted(ended)
    after = run("log", ended[0], "--texts", "--as", "bert", "--archive", archived, "--db", signed)
    assert (after.code, after.out) == (0, before)
    act = run("access", "--db", signed, "--json").json["acts"][0]
    assert (act["type"], act["by"], act["conversation"]) == ("texts_read", "bert", ended[0])


def test_erasing_a_person_reaches_the_archive(run: Any, signed: Path, archived: Path, ended: list[str]) -> None:
    """The key goes from the log, so nobody opens the texts in the archive; it verifies as before."""
    with closing(open_log(signed)) as store:
        subjects = {one.stream: one.subject for one in store.summaries()}
    subject = subjects[ended[0]]
    assert prune(run, signed, archived).code == 0
    dry = run("erase", "--subject", subject, "--dry-run", "--db", signed, "--json").json
    assert {"id": ended[0], "archive": "old"} in dry["archived"]
    told = run("log", ended[0], "--texts", "--archive", archived, "--db", signed).words
    assert "erased" not in told
    ran = run("erase", "--subject", subject, "--as", "dpo", "--ground", "request 7", "--db", signed)
    assert (ran.code, "archived in old: nobody can open the texts there without the keys." in ran.words) == (0, True)
    assert "erased" in run("log", ended[0], "--texts", "--archive", archived, "--db", signed).words
    assert run("verify", "--archive", archived, "--db", signed).code == 0


def test_a_hold_on_what_is_archived_stands_against_erasing_it(
    run: Any, signed: Path, archived: Path, ended: list[str]
) -> None:
    """The keys stay while it stands."""
    with closing(open_log(signed)) as store:
        subject = next(one.subject for one in store.summaries() if one.stream == ended[0])
    assert prune(run, signed, archived).code == 0
    assert run("hold", "--subject", subject, "--ground", "case 4", "--as", "legal", "--db", signed).code == 0
    ran = run("erase", "--subject", subject, "--as", "dpo", "--ground", "request 7", "--db", signed)
    assert (ran.code, "stands against erasing" in ran.words) == (2, True)


def test_texts_in_clear_only_where_asked(run: Any, signed: Path, ended: list[str]) -> None:
    """Then whoever has the archive reads them; that they were written out is on the record."""
    path = signed.with_name("clear.zip")
    assert run("archive", path, "--texts", "clear", "--json", "--db", signed).code == 0
    key = verify_bundle.Key(run("key", "show", "--db", signed).out.strip())
    report = verify_bundle.check(verify_bundle.read(path), verify_bundle.Trust([key]))
    assert (report.faults, report.disclosed > 10) == ([], True)
    acts = run("access", "--db", signed, "--json", "--limit", 100).json["acts"]
    assert {one["conversation"] for one in acts if one["type"] == "texts_read"} == set(ended)
    assert prune(run, signed, path).code == 0
    assert run("log", ended[0], "--texts", "--archive", path, "--db", signed).code == 0


def test_a_receipt_of_what_was_archived_convicts_nobody(
    run: Any, signed: Path, archived: Path, ended: list[str], tmp_path: Path
) -> None:
    """The leaf is in the tree, and the entry in the archive; the control is a receipt of another entry."""
    receipt, key = tmp_path / "receipt", run("key", "show", "--db", signed).out.strip()
    receipt.write_text(run("receipt", ended[0], "--db", signed).out)
    assert prune(run, signed, archived).code == 0
    assert run("verify", "--db", signed, "--receipt", receipt).code == 0
    assert run("export", "--all", "--bundle", tmp_path / "b", "--db", signed).code == 0
    assert verify_bundle.main([str(tmp_path / "b"), "--key", key, "--receipt", str(receipt)]) == 20
    receipt.write_text(receipt.read_text().replace(ended[0], ended[1]))
    assert run("verify", "--db", signed, "--receipt", receipt).code == 1
    assert verify_bundle.main([str(tmp_path / "b"), "--key", key, "--receipt", str(receipt)]) == 1


@pytest.mark.parametrize("flags", [(), ("--ml-dsa",)])
def test_an_archive_from_before_a_change_of_keys(
    run: Any, signed: Path, archived: Path, tmp_path: Path, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is verified by the key of its time: pruned with the new key, read, and held against the log by either key."""
    old, new, newest = (tmp_path / name for name in ("old.vkey", "new", "newest"))
    old.write_text(run("key", "show", "--db", signed).out)
    run("key", "rotate", "--to", new, *flags, "--db", signed)
    assert run("key", "rotate", "--to", newest, *flags, "--key", new, "--db", signed).code == 0
    done = prune(run, signed, archived, "--key", str(newest), "--json")
    assert (done.code, done.json["pruned"]) == (0, True), done.words
    given = tmp_path / "newest.vkey"
    given.write_text(run("key", "show", "--key", newest, "--db", signed).out)
    for vkey in (old, given):
        found = run("verify", "--db", signed, "--vkey", vkey, "--archive", archived, "--json")
        assert (found.code, found.json["tree"]["faults"], found.json["tree"]["looked_at"]) == (0, [], ["old"])
    monkeypatch.setenv("INTERLOCK_SIGNING_KEY", str(newest))
    read = run("log", "--archive", archived, "--db", signed, "--json")
    assert read.code == 0, read.words


def test_a_key_of_another_time_signs_no_archive(run: Any, signed: Path, archived: Path, tmp_path: Path) -> None:
    """One that signs only from a later leaf on vouches for none that is older."""
    run("key", "rotate", "--to", tmp_path / "new", "--db", signed)
    later = tmp_path / "later.zip"
    assert run("archive", later, "--key", tmp_path / "new", "--db", signed).code == 0
    with closing(open_log(signed)) as store:
        eras = eras_of(store.tree(), SigningKey(tmp_path / "new").verifiers())
        assert [at for at, _ in eras] == [0, eras[1][0]]
        assert (opened(later, eras).name, opened(archived, eras).name) == ("later", "old")
        with pytest.raises(CallError, match="The archive does not verify"):
            opened(archived, [(0, eras[1][1]), (eras[1][0], eras[0][1])])
