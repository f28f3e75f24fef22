"""What a bundle is before anything of it is checked: names, zip files, and the Python that reads them."""

import ast
import base64
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from interlock.contracts.errors import CallError
from interlock.persistence.evidence import verify_bundle as alone
from interlock.persistence.memory_store import MemoryStore
from interlock.service.pruning import opened
from support.evidence import ORIGIN, Remembered, TestKey, checkpointer, filled
from support.tampering import bundle_of, checked, resigned

KEY = str(TestKey().verifier())
SCRIPT = Path(alone.__file__)
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def files() -> Files:
    store = MemoryStore(origin=ORIGIN)
    filled(store, 3)
    checkpointer(store.tree()).checkpoint()
    return bundle_of(store)


def zipped(path: Path, entries: list[tuple[str, bytes]], packing: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


def said(path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = alone.main([str(path), "--key", KEY])
    ran = capsys.readouterr()
    return code, ran.out + ran.err


# -- names -------------------------------------------------------------------------------------------------

ELSEWHERE = ["./report.html", "/report.html", "flows/../report.html", "flows//x", "report.html.", "report.html ", "x:y",
             ".\\report.html", "report.html\x01"]  # fmt: skip


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_file_that_would_be_extracted_as_another_is_refused(
    files: Files, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though the manifest lists it, and the key signed that: the check and the reader would see different files."""
    made = resigned({**files, name: b"a lie"})
    code, words = said(zipped(tmp_path / "b.zip", list(made.items())), capsys)
    assert (code, f"a file is called {name!r}, which would be another file where it is extracted" in words) == (2, True)


def test_a_name_that_ends_at_a_zero_is_looked_at_whole(
    files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = zipped(tmp_path / "b.zip", [*files.items(), ("report.html~", b"a lie")])
    made.write_bytes(made.read_bytes().replace(b"report.html~", b"report.html\0"))
    assert said(made, capsys)[0] == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("REPORT.HTML", "the bundle has 'REPORT.HTML' and 'report.html', one file on many disks"),
        ("report.html", "the bundle has 'report.html' twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_that_are_one_on_some_disks_are_refused(
    files: Files, name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = zipped(tmp_path / "b.zip", [*files.items(), (name, b"a lie")])
    code, told = said(made, capsys)
    assert (code, words in told) == (2, True)


def test_a_link_is_no_file(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name, data in files.items():
            one = zipfile.ZipInfo(name)
            one.external_attr = (0o120777 if name == "policy" else 0o100600) << 16
            archive.writestr(one, data)
    assert "'policy', which is neither a file nor a folder" in said(tmp_path / "b.zip", capsys)[1]


def test_folders_in_a_zip_file_say_nothing(files: Files, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Packed again by any archiver, and the control of all above."""
    for name, data in files.items():
        (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / name).write_bytes(data)
    assert said(tmp_path / "b", capsys)[0] == 20
    again = shutil.make_archive(str(tmp_path / "again"), "zip", tmp_path / "b")
    assert any(one.is_dir() for one in zipfile.ZipFile(again).infolist())
    assert said(Path(again), capsys)[0] == 20


@pytest.mark.parametrize("name", ["index.html", "report.htm", "tile/entries/index.html", "flows/x.json", "notes.txt"])
def test_a_file_that_no_bundle_has_is_named(files: Files, name: str) -> None:
    report = checked(resigned({**files, name: b"a lie"}))
    assert report.faults == [f"opening: files that no bundle has: {name}."]


def test_a_verifier_of_somebody_elses_is_not_checked(files: Files) -> None:
    """An older release had another; so it says nothing of the log, and nobody should run it."""
    report = checked(resigned({**files, "verify_bundle.py": b"print('WITNESSED(9 of 9)')"}))
    told = "verify_bundle.py in the bundle is not the one that ran here, and was not checked: do not run it."
    assert (report.verdict, told in report.says) == ("SELF-ATTESTED", True)
    assert told not in checked(files).says


# -- damaged zip files -------------------------------------------------------------------------------------


def damaged(path: Path, files: Files, how: str) -> None:
    packing = {"flipped": zipfile.ZIP_DEFLATED, "lzma": zipfile.ZIP_LZMA}.get(how, zipfile.ZIP_STORED)
    data = bytearray(zipped(path, list(files.items()), packing).read_bytes())
    local, central = data.find(b"PK\x03\x04"), data.find(b"PK\x01\x02")
    start = local + 30 + data[local + 26] + data[local + 28]
    if how == "encrypted":
        data[local + 6] |= 1
        data[central + 8] |= 1
    elif how in ("unknown", "deflated"):
        data[local + 8] = data[central + 10] = 99 if how == "unknown" else 8
    elif how in ("flipped", "lzma"):
        data[start : start + 40] = b"\xff" * 40
    elif how == "cut":
        data = data[: len(data) // 2]
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["encrypted", "unknown", "deflated", "flipped", "lzma", "cut"])
def test_a_damaged_zip_file_cannot_be_read(
    files: Files, how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no verdict on the log: 2, and never the 1 of BROKEN."""
    damaged(tmp_path / "b.zip", files, how)
    code, words = said(tmp_path / "b.zip", capsys)
    assert (code, words.startswith(f"cannot check {tmp_path / 'b.zip'}: the zip file cannot be read (")) == (2, True)
    with pytest.raises(CallError, match="The archive cannot be read: the zip file cannot be read"):
        opened(tmp_path / "b.zip", [(0, TestKey().verifier())])


def test_an_archive_is_opened_whatever_form_its_report_has(files: Files, tmp_path: Path) -> None:
    """It is kept for longer than a release is; nobody reads the report where it is opened."""
    made = zipped(tmp_path / "b.zip", list(resigned(files, report="interlock report v0").items()))
    with pytest.raises(CallError, match="This is no archive: it does not say what it keeps"):
        opened(made, [(0, TestKey().verifier())])


# -- a key that was changed ------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [1, 2])
def test_a_bundle_from_before_a_change_of_the_key_is_not_shown(later: int) -> None:
    """That a new key is the log's is not in this bundle. The old key and a newer bundle are the control."""
    store = MemoryStore(origin=ORIGIN)
    filled(store, 2)
    keys = [TestKey(seed=one) for one in (1, 2, 3)]
    signing = checkpointer(store.tree(), signer=keys[0])
    signing.checkpoint()
    for one in keys[1:later]:
        signing.rotate(Remembered(), one)
    old = bundle_of(store, signers=[keys[later - 1]])
    signing = checkpointer(store.tree(), signer=keys[later - 1]) if later > 1 else signing
    signing.rotate(Remembered(), keys[later])
    report = checked(old, key=keys[later])
    assert (report.verdict, report.faults) == ("NOT SHOWN", [])
    words = f"The bundle is signed with {keys[later - 1].verifier()}, which is none of the keys that you gave"
    assert report.missing[0].startswith(words)
    assert checked(old, key=keys[later - 1]).verdict == "SELF-ATTESTED"
    assert checked(bundle_of(store, signers=[keys[later]]), key=keys[later]).verdict == "SELF-ATTESTED"


def test_a_bundle_that_no_key_of_its_own_signed_is_broken(files: Files) -> None:
    """The control: a signature that does not hold is no other key's."""
    note = alone.Note(files["checkpoint"])
    name, key_id, signature = note.signatures[0]
    line = base64.b64encode(key_id + bytes(len(signature))).decode()
    forged = resigned({**files, "checkpoint": f"{note.text}\n— {name} {line}\n".encode()})
    assert checked(forged, key=TestKey(seed=7)).verdict == "BROKEN"


# -- versions of Python ------------------------------------------------------------------------------------


def pythons() -> list[str]:
    """Other Pythons that are here and run."""
    names = [f"python3.{minor}" for minor in range(9, 15) if minor != sys.version_info[1]]
    runs = [name for name in names if shutil.which(name)]
    return [one for one in runs if subprocess.run([one, "-c", ""], capture_output=True, check=False).returncode == 0]


def test_an_older_python_says_so_and_not_broken() -> None:
    as_old = "import runpy, sys; sys.version_info = (3, 8, 18, 'final', 0); runpy.run_path(sys.argv[1])"
    ran = subprocess.run([sys.executable, "-c", as_old, str(SCRIPT)], capture_output=True, text=True, check=False)
    words = "cannot check here: verify_bundle.py needs Python 3.9 or newer. Nothing was checked.\n"
    assert (ran.returncode, ran.stderr) == (2, words)


def test_it_asks_no_more_than_python_3_9() -> None:
    """A union is a type from 3.10 on: in an annotation that is not evaluated it does no harm."""
    tree = ast.parse(SCRIPT.read_text("utf-8"), feature_version=(3, 9))
    asked = [one for one in ast.walk(tree) if isinstance(one, ast.Call) and getattr(one.func, "id", "") == "isinstance"]
    assert asked
    assert not any(isinstance(one.args[1], ast.BinOp) for one in asked)


def test_other_pythons_find_the_same(files: Files, tmp_path: Path) -> None:
    """Those that are here; in the report there is nothing that a release knows better than another."""
    made = zipped(tmp_path / "b.zip", list(files.items()))
    for python in pythons():
        words = [python, str(SCRIPT), str(made), "--key", KEY]
        ran = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert (python, ran.returncode, ran.stderr) == (python, 20, "")
        assert "report.html and report.csv say what the entries say" in ran.stdout
