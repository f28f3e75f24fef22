"""A zip file that verifies is the same to every program that unpacks it: no byte of it is outside of its directory."""

import io
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.errors import CallError
from interlock.persistence.evidence import verify_bundle as alone
from interlock.persistence.memory_store import MemoryStore
from interlock.service.pruning import opened
from support.evidence import ORIGIN, TestKey, checkpointer, filled
from support.tampering import bundle_of

KEY = TestKey().verifier()
LIE = b"<h1>Everything was approved</h1>"


def honest() -> dict[str, bytes]:
    store = MemoryStore(origin=ORIGIN)
    filled(store, 2)
    checkpointer(store.tree()).checkpoint()
    return bundle_of(store)


FILES = honest()


def zipped(files: dict[str, bytes], packing: int = zipfile.ZIP_STORED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", packing) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


PLAIN, PACKED, LYING = zipped(FILES), zipped(FILES, zipfile.ZIP_DEFLATED), zipped({"report.html": LIE})
LOCAL = LYING[: LYING.index(b"PK\1\2")]


def moved(data: bytes, by: int, at: int = 0) -> bytes:
    """The zip file's offsets changed for what stands in front of them: what `zip -A` does. At the head of `data`."""
    made = bytearray(data)
    end = made.rindex(b"PK\5\6")
    (first,) = struct.unpack_from("<I", made, end + 16)
    here = first + at
    while made[here : here + 4] == b"PK\1\2":
        (offset,) = struct.unpack_from("<I", made, here + 42)
        struct.pack_into("<I", made, here + 42, offset + by)
        here += 46 + sum(struct.unpack_from("<HHH", made, here + 28))
    struct.pack_into("<I", made, end + 16, first + by)
    return bytes(made)


def behind_the_files(data: bytes, lie: bytes) -> bytes:
    """Between the last file and the directory."""
    end = data.rindex(b"PK\5\6")
    (first,) = struct.unpack_from("<I", data, end + 16)
    made = bytearray(data[:first] + lie + data[first:])
    struct.pack_into("<I", made, end + len(lie) + 16, first + len(lie))
    return bytes(made)


def commented(data: bytes) -> bytes:
    return data[:-2] + struct.pack("<H", len(LYING)) + LYING


def renamed(data: bytes) -> bytes:
    """Called otherwise where it stands than in the directory, by which Python reads it."""
    return data.replace(b'report.csv"conversation"', b'report.cs!"conversation"', 1)


def second_name(data: bytes) -> bytes:
    """Info-ZIP's field for a name in Unicode, by which other programs unpack it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for one in old.infolist():
            info = zipfile.ZipInfo(one.filename)
            if one.filename == "report.csv":
                name = b"report.txt"
                info.extra = struct.pack("<HHBI", 0x7075, 5 + len(name), 1, zlib.crc32(b"report.csv")) + name
            new.writestr(info, old.read(one))
    return made.getvalue()


def said_of_a_file(data: bytes, field: int, value: bytes) -> bytes:
    """A field of the directory's first line is another."""
    at = data.index(b"PK\1\2") + field
    return data[:at] + value + data[at + len(value) :]


ALTERED: dict[str, Callable[[], bytes]] = {
    "a file in front": lambda: LOCAL + PLAIN,
    "a file in front, its place known": lambda: LOCAL + moved(PLAIN, len(LOCAL)),
    "a zip file in front": lambda: LYING + PLAIN,
    "a page in front": lambda: b"<html>" + LIE + b"<!--" + PLAIN,
    "a page in front, its place known": lambda: LIE + moved(PLAIN, len(LIE)),
    "a file behind the files": lambda: behind_the_files(PLAIN, LOCAL),
    "something behind": lambda: PLAIN + b"junk",
    "a zip file as comment": lambda: commented(PLAIN),
    "another name where it stands": lambda: renamed(PLAIN),
    "a second name": lambda: second_name(PLAIN),
    "fewer files than there are": lambda: PLAIN[:-12] + struct.pack("<H", 1) + PLAIN[-10:],
    "a comment of a file": lambda: with_a_comment(FILES),
    "more bytes than are unpacked": lambda: longer(PACKED),
    "an unknown flag": lambda: said_of_a_file(PLAIN, 9, b"\x20"),
}


def with_a_comment(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.comment = b"approved" if name == "policy" else b""
            archive.writestr(info, data)
    return made.getvalue()


def longer(data: bytes) -> bytes:
    """The first file's packed bytes with others behind them, and every place and length told accordingly."""
    length = struct.unpack_from("<HH", data, 26)
    (packed,) = struct.unpack_from("<I", data, 18)
    at = 30 + sum(length) + packed
    made = bytearray(moved(data[:at] + LIE + data[at:], len(LIE), at=len(LIE)))
    struct.pack_into("<I", made, 18, packed + len(LIE))
    first = made.index(b"PK\1\2")
    struct.pack_into("<I", made, first + 20, packed + len(LIE))
    struct.pack_into("<I", made, first + 42, 0)
    return bytes(made)


def code_of(path: Path, data: bytes) -> int:
    path.write_bytes(data)
    return alone.main([str(path), "--key", str(KEY)])


@pytest.mark.parametrize("how", list(ALTERED))
def test_a_byte_that_the_directory_does_not_account_for_is_refused(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No verdict: 2. By the verifier, and where an archive is opened for `prune`, `log` and `verify`."""
    path = tmp_path / "b.zip"
    assert code_of(path, ALTERED[how]()) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"cannot check {path}: the zip file cannot be read ("), said
    with pytest.raises(CallError, match="The archive cannot be read: the zip file cannot be read"):
        opened(path, [(0, KEY)])


def test_what_is_hidden_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for how, words in (
        ("a page in front, its place known", f"{len(LIE)} bytes before 'policy' are in no file of it"),
        ("another name where it stands", "'report.csv' is another file where it stands than the directory says"),
        ("a second name", "'report.csv' has a second name, or something else that not every program reads"),
        ("a comment of a file", "its directory says more than the names of its files"),
        ("fewer files than there are", "its directory is another than its end says"),
        ("more bytes than are unpacked", "'policy' has more bytes than are unpacked"),
    ):
        code_of(tmp_path / "b.zip", ALTERED[how]())
        said = capsys.readouterr().err
        assert f"the zip file cannot be read ({words})" in said, said


class Stream(io.RawIOBase):
    """A place that cannot go back: zip files are then written with the sizes behind the files."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += bytes(data)
        return len(data)


def test_zip_files_of_other_programs_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The control: packed, streamed, with times and owners, and with 64 bits for what needs none."""
    stream = Stream()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    wide, timed = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(wide, "w") as archive:
        for name, data in FILES.items():
            with archive.open(name, "w", force_zip64=True) as one:
                one.write(data)
    with zipfile.ZipFile(timed, "w") as archive:
        for name, data in FILES.items():
            info = zipfile.ZipInfo(name)
            info.extra = struct.pack("<HHBI", 0x5455, 5, 1, 1_790_000_000)
            archive.writestr(info, data)
    for data in (PLAIN, PACKED, stream.data, wide.getvalue(), timed.getvalue()):
        assert code_of(tmp_path / "b.zip", data) == 20, capsys.readouterr().err
    if shutil.which("zip"):
        for name, data in FILES.items():
            (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "b" / name).write_bytes(data)
        made = shutil.make_archive(str(tmp_path / "made"), "zip", tmp_path / "b")
        assert code_of(tmp_path / "c.zip", Path(made).read_bytes()) == 20


def test_a_zip_file_of_very_many_files_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end is of 64 bits, as that of an archive with more than 65,535 proofs is."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    data = zipped(FILES)
    assert b"PK\6\6" in data
    (tmp_path / "b.zip").write_bytes(data)
    assert alone.read(tmp_path / "b.zip") == FILES
    end = data.rindex(b"PK\6\6")
    for at in (4, 24, 32, 40, 48, 60, 64, 72):
        altered = data[: end + at] + b"\x07" + data[end + at + 1 :]
        (tmp_path / "b.zip").write_bytes(altered)
        with pytest.raises(alone.Bad, match="the zip file cannot be read"):
            alone.read(tmp_path / "b.zip")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("put-in")


@given(st.integers(0, len(PLAIN)), st.binary(min_size=1, max_size=40))
def test_wherever_bytes_are_put_in_they_are_found(folder: Path, at: int, lie: bytes) -> None:
    """Between any two bytes: it cannot be read, or it is of other files."""
    path = folder / "put-in.zip"
    path.write_bytes(PLAIN[:at] + lie + PLAIN[at:])
    with suppress(alone.Bad):
        assert alone.read(path) != FILES
