"""Records read from a file one by one, so that a file of any size takes the memory of its largest record."""

import codecs
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from ..contracts.errors import CallError
from ..contracts.imported import ImportFormat
from .foreign import ForeignConversation, Malformed
from .foreign_chat import chat_conversation
from .foreign_tau import tau_conversation

MOST_BYTES = 64_000_000
"""Of one record."""
_CHUNK = 1 << 18
_FOLLOWING = tuple(",:]} \t\r\n")


@dataclass(frozen=True, slots=True)
class Read:
    """One record: its number in the file (a line's, or a trajectory's, from 1), and the conversation or its fault.

    `upto` is how many bytes of the file have been read.
    """

    number: int
    conversation: ForeignConversation | None
    problem: str
    upto: int


def records(path: Path, kind: ImportFormat) -> Iterator[Read]:
    """Every record of the file in order. Raises `CallError` where the file cannot be opened."""
    try:
        if kind == "openai":
            yield from _lines(path)
        else:
            yield from _trajectories(path)
    except OSError as error:
        raise CallError(
            f"The file cannot be read: {error.strerror}.", where=str(path), fix="Check its path and permissions."
        ) from error


def _lines(path: Path) -> Iterator[Read]:
    with path.open("rb") as file:
        upto = 0
        for number in _counting():
            line = file.readline(MOST_BYTES + 1)
            if not line:
                return
            upto += len(line)
            if len(line) > MOST_BYTES:
                while line and not line.endswith(b"\n"):
                    line = file.readline(_CHUNK)
                    upto += len(line)
                yield Read(number, None, f"the line is longer than {MOST_BYTES:,} bytes", upto)
            elif line.strip():
                yield _read(number, partial(_decoded, line), chat_conversation, upto)


def _trajectories(path: Path) -> Iterator[Read]:
    with _Window(path) as window:
        number = 0
        try:
            for number, record in enumerate(window.trajectories(), 1):
                yield _read(number, partial(_itself, record), tau_conversation, window.upto)
        except Malformed as fault:
            yield Read(number + 1, None, f"{fault}; nothing after it can be read", window.upto)


def _read(
    number: int, record: Callable[[], Any], conversation: Callable[[Any], ForeignConversation], upto: int
) -> Read:
    try:
        return Read(number, conversation(record()), "", upto)
    except Malformed as fault:
        return Read(number, None, str(fault), upto)
    except RecursionError:
        return Read(number, None, "it is nested too deeply", upto)


def _itself(record: Any) -> Any:
    return record


def _counting() -> Iterator[int]:
    number = 0
    while True:
        number += 1
        yield number


# -- JSON ----------------------------------------------------------------------------------------------


class _Repeated(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Repeated("an object holds the same name twice")
    return found


def _constant(name: str) -> NoReturn:
    raise _Repeated(f"{name} is not JSON")


_JSON = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def _decoded(line: bytes) -> Any:
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed("", f"byte {error.start} is not UTF-8") from None
    try:
        return _JSON.decode(text)
    except json.JSONDecodeError as error:
        whole = " (a list that goes on below: is it one JSON document, and no JSONL?)" if text.strip() == "[" else ""
        raise Malformed("", f"it is not JSON: {error.msg} at character {error.pos}{whole}") from None
    except ValueError as error:
        raise Malformed("", str(error)) from None


class _Window:
    """A JSON document read from its beginning to its end, of which only what is being read is kept."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._ended = "", 0, False
        self.upto = 0

    def __enter__(self) -> "_Window":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def trajectories(self) -> Iterator[Any]:
        """The items of the document, a list; or of the list under `simulations` in it. Raises `Malformed`."""
        sign = self._sign()
        if sign == "[":
            yield from self._items()
        elif sign == "{":
            yield from self._under("simulations")
        else:
            raise Malformed("", "the file is neither a list of trajectories nor an object with `simulations`")

    def _items(self) -> Iterator[Any]:
        self._at += 1
        if self._sign() == "]":
            return
        while True:
            yield self._value()
            sign = self._sign()
            self._at += 1
            if sign == "]":
                return
            if sign != ",":
                raise Malformed("", "it is not JSON: a comma was expected between two trajectories")

    def _under(self, name: str) -> Iterator[Any]:
        self._at += 1
        while self._sign() == '"':
            key = self._value()
            if self._sign() != ":":
                break
            self._at += 1
            if key == name and self._sign() == "[":
                yield from self._items()
                return
            self._value()
            if self._sign() == ",":
                self._at += 1
        raise Malformed("", f"the object has no list under {name!r}")

    def _sign(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more(_CHUNK):
                return ""

    def _value(self) -> Any:
        self._sign()
        size = _CHUNK
        while True:
            try:
                value, end = _JSON.raw_decode(self._text, self._at)
                length = end - self._at
                # A number may go on in what was not read yet, so a value has ended where something follows it.
                if self._text[end : end + 1] in _FOLLOWING or not self._more(_CHUNK):
                    self._at += length
                    return value
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > MOST_BYTES:
                    raise Malformed("", f"a trajectory is longer than {MOST_BYTES:,} characters") from None
                if not self._more(size):
                    raise Malformed("", f"it is not JSON: {error.msg}") from None
                size *= 2
            except ValueError as error:
                raise Malformed("", str(error)) from None

    def _more(self, size: int) -> bool:
        """Read on; what lies before the present place is let go. False at the end of the file."""
        if self._ended:
            return False
        data = self._file.read(size)
        self.upto += len(data)
        self._ended = not data
        try:
            read = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError:
            raise Malformed("", "it is not UTF-8") from None
        self._text, self._at = self._text[self._at :] + read, 0
        return not self._ended
