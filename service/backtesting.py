"""A history through another flow: which conversations, in how many processes, and where it went on after a break."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from ..agents.classifier import LinearTable
from ..contracts.canonical import sha256_hex
from ..contracts.errors import CallError, InterlockError
from ..contracts.events import ConversationStarted, RoutingDecided
from ..contracts.flow import Flow
from ..contracts.values import fixed, listed, written_time
from ..fsm.backtest import backtest
from ..fsm.program import Program, compiled
from ..fsm.unopened import Unopened
from ..persistence.sql_store import SqlStore
from .executing import Executor
from .loading import recorded_flow
from .project import load_project
from .remeasuring import Changes, Remeasured
from .tally import Tally, read_tally
from .wiring import open_log, scan_of

PIECE = 250
"""Conversations that a process takes at once."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The flow to try: its source, and what is changed in it. An empty router name stands for all that have one."""

    source: str
    thresholds: tuple[tuple[str, str], ...] = ()
    classifiers: tuple[tuple[str, str], ...] = ()

    def program(self) -> Program:
        """The flow, changed and compiled. Raises as loading does, and `CallError` for a router that it has not."""
        program = load_project(self.source).program
        if not self.thresholds and not self.classifiers:
            return program
        routers = {one.name: one for one in program.flow.routers}
        code = program.code
        for name, value in self.thresholds:
            for router in self._named(name, routers):
                routers[router] = routers[router].changed(threshold=fixed(float(value)))
        for name, path in self.classifiers:
            table = LinearTable.from_bytes(_bytes_of(Path(path)), where=path)
            code = replace(code, classifiers={**code.classifiers, table.digest: table})
            for router in self._named(name, routers):
                if name or routers[router].classifier is not None:
                    routers[router] = routers[router].changed(classifier=table.digest)
        return compiled(program.flow.changed(routers=tuple(routers.values())), code)

    def _named(self, name: str, routers: dict[str, Any]) -> Sequence[str]:
        if name and name not in routers:
            raise CallError(f"The flow has no router {name!r}.", fix=f"It has {listed(routers)}.")
        return (name,) if name else tuple(routers)


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CallError(
            f"The classifier cannot be read: {error.strerror}.", where=str(path), fix="Check its path and permissions."
        ) from error


@dataclass(frozen=True, slots=True)
class Selection:
    """Which conversations: begun at `since` or later, routed to `label` at least once, `sample` of those at random."""

    since: datetime | None = None
    label: str = ""
    sample: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """Of one piece: its number, its sums, and the turns that are not the same, each with its conversation."""

    piece: int
    tally: Tally
    turns: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """How many of the conversations were looked at, and what was found so far."""

    done: int
    total: int
    tally: Tally


@dataclass(frozen=True, slots=True)
class Finished:
    """The whole. `versions` says how many conversations were on each recorded version of the flow, by its digest."""

    program: Program
    tally: Tally
    versions: dict[str, int]
    resumed: int = 0
    """Conversations whose result was kept by a run before."""


@dataclass(frozen=True, slots=True)
class Begin:
    """What each process makes before its first piece."""

    path: Path
    variant: Variant
    label: str = ""

    def __call__(self) -> "Bench":
        return Bench(self.path, self.variant.program(), self.label)


class Bench:
    """One process at work: the program, the log, and the recorded versions that it has met."""

    def __init__(self, path: Path, program: Program, label: str = "") -> None:
        self.program, self._path, self._label = program, path, label
        self._scan = scan_of(path)
        self._store: SqlStore[Any] | None = None
        self._changes: dict[str, Changes] = {}

    def run(self, streams: Sequence[str]) -> tuple[Tally, list[dict[str, Any]]]:
        """The sums over these conversations, and their turns that are not the same."""
        tally, turns = Tally(), list[dict[str, Any]]()
        for stream, rows in self._scan.entries(streams):
            try:
                entries = [Unopened(data) for data in rows]
                if _is_fork(entries[0]):
                    tally.forks += 1
                    continue
                if self._label and not any(_is_label(one, self._label) for one in entries):
                    tally.skipped += 1
                    continue
                changes = self._changes_since(entries[0].envelope.flow)
                sources = Remeasured(changes, entries, partial(self._texts, stream), self._changes_since)
                told = tally.take(backtest(self.program, stream, entries, sources))
            except InterlockError as error:
                tally.could_not(stream, str(error))
                continue
            turns += ({"id": stream, **turn} for turn in told)
        return tally, turns

    def _changes_since(self, digest: str) -> Changes:
        if digest not in self._changes:
            row = self._log().flow(digest)
            then: Flow | None = recorded_flow(row) if row is not None else None
            self._changes[digest] = Changes(then, self.program)
        return self._changes[digest]

    def _texts(self, stream: str) -> Any:
        return self._log().payloads(stream)

    def _log(self) -> SqlStore[Any]:
        if self._store is None:
            self._store = open_log(self._path)
        return self._store

    def close(self) -> None:
        self._scan.close()
        if self._store is not None:
            self._store.close()


def _is_fork(first: Unopened) -> bool:
    """What a fork began with is a copy, and what was said in it after that was said again."""
    return isinstance(first.event, ConversationStarted) and first.event.origin == "forked"


def _is_label(entry: Unopened, label: str) -> bool:
    if entry.type != "routing_decided":
        return False
    event = entry.event
    return isinstance(event, RoutingDecided) and event.decision.outcome == label


def labels_of(path: Path, flow: str) -> set[str]:
    """What the conversations of the flow were routed to, as it is recorded."""
    streams, _ = selected(path, flow, Selection())
    found, scan = set[str](), scan_of(path)
    try:
        for start in range(0, len(streams), PIECE):
            for _, rows in scan.entries(streams[start : start + PIECE]):
                routed = (one.event for one in map(Unopened, rows) if one.type == "routing_decided")
                found |= {one.decision.outcome for one in routed if isinstance(one, RoutingDecided)}
    finally:
        scan.close()
    return found


def run_piece(bench: Bench, piece: tuple[int, tuple[str, ...]]) -> Done:
    """One piece of a history, in whichever process."""
    tally, turns = bench.run(piece[1])
    return Done(piece[0], tally, tuple(turns))


def backtest_log(
    path: Path,
    variant: Variant,
    selection: Selection,
    executor: Executor,
    *,
    resume: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    turns: Callable[[dict[str, Any]], None] | None = None,
) -> Finished:
    """Every selected conversation of the log's flow of this name, through the variant. Writes nothing to the log.

    `resume` keeps the result of each piece in a file, and takes from it what a run before has kept; it must have
    been the same question. `turns` is given every turn that is not the same, in no order.
    """
    program = variant.program()
    streams, versions = selected(path, program.ref.name, selection)
    pieces = [tuple(streams[start : start + PIECE]) for start in range(0, len(streams), PIECE)]
    question = sha256_hex(json.dumps([program.ref.digest, selection.label, pieces]).encode())
    kept = Journal(resume, question) if resume is not None else None
    whole, done, resumed = Tally(), 0, 0

    def take(found: Done) -> None:
        nonlocal done
        whole.add(found.tally)
        done += len(pieces[found.piece])
        for turn in found.turns if turns is not None else ():
            turns(turn)  # type: ignore[misc]
        if progress is not None:
            progress(Progress(done, len(streams), whole))

    known = set[int]()
    for found in kept.read() if kept is not None else ():
        known.add(found.piece)
        take(found)
    resumed = done
    left = ((number, piece) for number, piece in enumerate(pieces) if number not in known)
    try:
        for found in executor.map(run_piece, Begin(path, variant, selection.label), left):
            if kept is not None:
                kept.keep(found)
            take(found)
    finally:
        if kept is not None:
            kept.close()
    return Finished(program, whole, versions, resumed)


def selected(path: Path, flow: str, selection: Selection) -> tuple[list[str], dict[str, int]]:
    """The conversations on any version of the flow, in order, and how many there are on each version."""
    since = written_time(selection.since) if selection.since is not None else ""
    scan = scan_of(path)
    try:
        found = [one for one in scan.listed() if one.flow_name == flow and one.started_at >= since]
    finally:
        scan.close()
    if selection.sample is not None and selection.sample < len(found):
        # The order of the streams is the log's own, so the same seed draws the same conversations.
        chosen = random.Random(selection.seed).sample(range(len(found)), selection.sample)  # noqa: S311
        found = [found[index] for index in sorted(chosen)]
    versions: dict[str, int] = {}
    for one in found:
        versions[one.flow_digest] = versions.get(one.flow_digest, 0) + 1
    return [one.stream for one in found], versions


class Journal:
    """The results of the pieces that are done, one a line, after a line that says of which question."""

    def __init__(self, path: Path, question: str) -> None:
        """Raises `CallError` where the file is of another question, or cannot be written."""
        self._path, self._question = path, question
        try:
            new = not path.exists() or not path.stat().st_size
            self._file = path.open("a+", encoding="utf-8", errors="replace")
        except OSError as error:
            raise CallError(
                f"The file of results cannot be written: {error.strerror}.", where=str(path), fix="Name another one."
            ) from error
        if new:
            self._write({"backtest": question})
        else:
            self._file.seek(0)
            if _line(self._file.readline()) != {"backtest": question}:
                self._file.close()
                raise CallError(
                    "The file holds the results of another backtest: another flow, selection or history.",
                    where=str(path),
                    fix="Name another file with --resume, or remove this one.",
                )

    def read(self) -> Iterator[Done]:
        """What was kept. A last line that was cut off is not taken."""
        self._file.seek(0)
        next(self._file, None)
        for line in self._file:
            found = _line(line)
            if isinstance(found, dict) and "piece" in found:
                yield Done(found["piece"], read_tally(found["tally"]), tuple(found["turns"]))

    def keep(self, done: Done) -> None:
        """Durable once the system has written it: a result that is lost is found again."""
        self._write({"piece": done.piece, "tally": done.tally.document(), "turns": list(done.turns)})

    def _write(self, document: dict[str, Any]) -> None:
        self._file.seek(0, 2)
        self._file.write("\n" * self._is_cut() + json.dumps(document) + "\n")
        self._file.flush()

    def _is_cut(self) -> bool:
        """Whether the file ends in the middle of a line."""
        size = self._path.stat().st_size
        if not size:
            return False
        with self._path.open("rb") as file:
            file.seek(size - 1)
            return file.read(1) != b"\n"

    def close(self) -> None:
        self._file.close()


def _line(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
