"""Labelled utterances: read from CSV or JSON, and dealt into folds that keep near copies together.

CSV has a header with `text` and `label` (or `category`, `intent`); several labels of one text stand in one cell,
separated by `|`, or on several rows. JSON is a list of `[text, label]` or of objects with `text` and `label`,
`intent`, `category`, `labels` or `intents`; or an object of such lists, each a part (`train`, `val`, `oos_train`).
"""

import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts.errors import CallError
from ..contracts.values import listed, printable
from .calibration import seeded
from .classifier import words_of

MAX_FILE_BYTES = 200_000_000
OUTSIDE_LABELS = frozenset({"out_of_scope", "oos", "outside", "none_of_ours"})
"""Labels that say a message is none of ours; so do parts whose name starts with one of them."""
_TEXT_KEYS = ("text", "utterance", "message")
_LABEL_KEYS = ("label", "labels", "category", "intent", "intents")
_NEAR = 0.6
"""Two messages of one label are near copies from this share of common words on."""

_NEIGHBOURS = 400
"""How many earlier examples of its label each is compared with."""

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")
_NOT_OF_NAMES = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Example:
    """A message and its labels: one, several, or none, which is either *none of ours* or nothing in particular."""

    text: str
    labels: frozenset[str]
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """What a file held, which of its parts were taken, and labels that were made names (as written, as a name)."""

    examples: tuple[Example, ...]
    parts: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]

    @property
    def several(self) -> bool:
        """Whether a message has more than one label."""
        return any(len(one.labels) > 1 for one in self.examples)


def read_examples(path: Path, *, parts: Sequence[str] = (), prefer: Sequence[str] = ("train",)) -> Read:
    """The examples in the file at `path`. Of a JSON file in parts those named, or else those that `prefer` names.

    Raises `CallError` for a file that is missing, too large, of no known form, or without a text or a label.
    """
    data = _bytes_of(path)
    taken: tuple[str, ...] = ()
    entries: Iterable[Entry]
    if path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
        taken, entries = _json_entries(data, path, parts, prefer)
    else:
        entries = _csv_entries(data, path)
    names: dict[str, str] = {}
    merged: dict[str, tuple[frozenset[str], bool]] = {}
    for place, text, labels, outside in entries:
        if not text.strip():
            raise CallError("An example has no text.", where=f"{path}, {place}", fix="Write the text, or delete it.")
        written = [_name_of(label, names, f"{path}, {place}") for label in labels if label not in OUTSIDE_LABELS]
        known, was_outside = merged.get(text, (frozenset[str](), False))
        away = was_outside or outside or not OUTSIDE_LABELS.isdisjoint(labels)
        known |= set(written)
        if known and away:
            raise CallError(
                f"The example {printable(text, 60)!r} is labelled and out of scope.",
                where=f"{path}, {place}",
                fix="Keep one of them.",
            )
        merged[text] = known, away
    if not merged:
        raise CallError("The file holds no examples.", where=str(path), fix="Write a text and a label in each row.")
    found = tuple(Example(text, known, away) for text, (known, away) in merged.items())
    return Read(found, taken, tuple((label, name) for label, name in names.items() if label != name))


def folds_of(examples: Sequence[Example], clusters: Sequence[int], folds: int, seed: int) -> list[int]:
    """A fold for each example: every label spread evenly, near copies in the same one, the same for the same seed.

    Held-out figures would flatter otherwise: people write ten variants of a sentence, and collections keep them.
    """
    by_labels: dict[tuple[str, ...], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, (example, cluster) in enumerate(zip(examples, clusters, strict=True)):
        by_labels[tuple(sorted(example.labels))][cluster].append(number)
    found = [0] * len(examples)
    chance = seeded(seed)
    for key in sorted(by_labels):
        members = [by_labels[key][cluster] for cluster in sorted(by_labels[key])]
        chance.shuffle(members)
        members.sort(key=len, reverse=True)
        sizes, start = [0] * folds, chance.randrange(folds)
        for one in members:
            least = min(range(folds), key=lambda fold: (sizes[fold], (fold - start) % folds))
            sizes[least] += len(one)
            for number in one:
                found[number] = least
    return found


def near_copies(examples: Sequence[Example]) -> list[int]:
    """A number for each example, the same for those that are near copies of each other, one by one; no cluster is
    larger than a tenth of its label, so that every fold can have its share."""
    parent = list(range(len(examples)))
    size = [1] * len(examples)

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    by_labels: dict[frozenset[str], list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        by_labels[example.labels].append(number)
    words = [frozenset(words_of(example.text)) for example in examples]
    for members in by_labels.values():
        most = max(2, len(members) // 10)
        for place, one in enumerate(members):
            for other in members[max(0, place - _NEIGHBOURS) : place]:
                common = len(words[one] & words[other])
                first, second = root(one), root(other)
                if (
                    common
                    and first != second
                    and common >= _NEAR * len(words[one] | words[other])
                    and size[first] + size[second] <= most
                ):
                    parent[second] = first
                    size[first] += size[second]
    return [root(number) for number in range(len(examples))]


Entry = tuple[str, str, list[str], bool]
"""Where it stands, the text, its labels as written, and whether its part says that it is out of scope."""


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise CallError(
            f"The examples cannot be read: {error.strerror or error}.", where=str(path), fix="Give a CSV or JSON file."
        ) from error
    if len(data) > MAX_FILE_BYTES:
        raise CallError(f"The file is larger than {MAX_FILE_BYTES} bytes.", where=str(path), fix="Give fewer examples.")
    return data


def _decoded(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CallError("The file is not UTF-8.", where=str(path), fix="Save it as UTF-8.") from error


def _csv_entries(data: bytes, path: Path) -> Iterable[Entry]:
    reader = csv.DictReader(io.StringIO(_decoded(data, path), newline=""))
    columns = [name for name in reader.fieldnames or () if name]
    text = next((name for name in columns if name.strip().casefold() in _TEXT_KEYS), None)
    label = next((name for name in columns if name.strip().casefold() in _LABEL_KEYS), None)
    if text is None or label is None:
        raise CallError(
            f"The file has the columns {listed(columns)}.", where=str(path), fix="Name two of them `text` and `label`."
        )
    try:
        for row in reader:
            labels = [part.strip() for part in (row[label] or "").split("|") if part.strip()]
            if not labels:
                where = f"{path}, line {reader.line_num}"
                raise CallError(
                    "An example has no label.",
                    where=where,
                    fix="Write one, or `out_of_scope` for what is none of ours.",
                )
            yield f"line {reader.line_num}", row[text] or "", labels, False
    except csv.Error as error:
        raise CallError(f"The file is no CSV: {error}.", where=str(path), fix="Mend the file.") from error


def _json_entries(
    data: bytes, path: Path, parts: Sequence[str], prefer: Sequence[str]
) -> tuple[tuple[str, ...], list[Entry]]:
    text = _decoded(data, path)
    try:
        if path.suffix.lower() == ".json":
            document: Any = json.loads(text)
        else:
            document = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise CallError(f"The file is no JSON: {printable(error)}.", where=str(path), fix="Mend the file.") from error
    if isinstance(document, list):
        return (), _listed_entries(document, path, "", False)
    if not isinstance(document, dict) or not all(isinstance(one, list) for one in document.values()):
        raise CallError(
            "The file holds neither a list of examples nor lists by part.",
            where=str(path),
            fix='Write [["where is my card", "card"], …], or {"train": […], "oos_train": […]}.',
        )
    strange = [name for name in parts if name not in document]
    if strange:
        raise CallError(f"The file has no part {listed(strange)}.", where=str(path), fix=f"It has {listed(document)}.")
    taken = tuple(parts) or _preferred(document, prefer)
    return taken, [entry for name in taken for entry in _listed_entries(document[name], path, name, _is_outside(name))]


def _preferred(document: Iterable[str], prefer: Sequence[str]) -> tuple[str, ...]:
    """The parts with the first preferred word in their names (`val`, `oos_val`), or all."""
    names = tuple(document)
    for word in prefer:
        found = tuple(name for name in names if word in name.split("_"))
        if found:
            return found
    return names


def _is_outside(part: str) -> bool:
    return any(part == label or part.startswith(f"{label}_") for label in OUTSIDE_LABELS)


def _listed_entries(document: list[Any], path: Path, part: str, outside: bool) -> list[Entry]:
    found: list[Entry] = []
    for number, entry in enumerate(document, 1):
        place = f"{f'{part} ' if part else ''}entry {number}"
        text, labels = _text_and_labels(entry)
        if text is None or (labels is None and not outside):
            raise CallError(
                "An entry is neither [text, label] nor an object with `text` and a label.",
                where=f"{path}, {place}",
                fix='Write ["where is my card", "card"].',
            )
        found.append((place, text, [] if outside else labels or [], outside))
    return found


def _text_and_labels(entry: Any) -> tuple[str | None, list[str] | None]:
    """The labels are None where the entry says nothing of any; an object without the key has none."""
    if isinstance(entry, str):
        return entry, None
    if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str):
        return entry[0], _as_labels(entry[1])
    if isinstance(entry, dict):
        text = next((entry[key] for key in _TEXT_KEYS if isinstance(entry.get(key), str)), None)
        return text, _as_labels(next((entry[key] for key in _LABEL_KEYS if key in entry), []))
    return None, None


def _as_labels(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return list(value)
    return None


def _name_of(label: str, names: dict[str, str], where: str) -> str:
    """The label as a name of the flow language; two labels never become one."""
    if label in names:
        return names[label]
    name = label if _NAME.fullmatch(label) else _NOT_OF_NAMES.sub("_", label).strip("_")[:64]
    if not _NAME.fullmatch(name) or name in names.values():
        raise CallError(
            f"The label {printable(label, 80)!r} cannot be made a name.",
            where=where,
            fix="Use ASCII letters, digits and underscores, starting with a letter, at most 64, each label its own.",
        )
    names[label] = name
    return name


def counts_of(examples: Iterable[Example]) -> Counter[str]:
    """How many examples each label has."""
    return Counter(label for one in examples for label in one.labels)
