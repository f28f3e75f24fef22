"""Replaying stored conversations: every recorded decision made again, with no model, tool or clock."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..contracts.errors import InterlockError
from ..contracts.imported import IMPORTED
from ..contracts.store import Store
from ..fsm.program import Program
from ..fsm.replay import Divergence, Recorded, check_import, redecide
from ..service.codes import CODE, code_of, differing
from ..service.loading import recorded
from ..service.wiring import FoundFlow


@dataclass(frozen=True, slots=True)
class Replayed:
    """What deciding one conversation again gave. `problem` is why it could not be decided at all."""

    stream: str
    flow: str
    digest: str
    events: int = 0
    decisions: int = 0
    divergences: int = 0
    first: Divergence | None = None
    changed: str = ""
    """Digest of the flow as it stands at its source today, where that is another one."""
    code: str = ""
    """What decided it then and would today, where they differ."""
    problem: str = ""
    imported: bool = False
    """It was led elsewhere and imported: there is nothing to decide again."""
    milliseconds: float = 0.0

    @property
    def holds(self) -> bool:
        return not self.divergences and not self.problem


def replayed(
    store: Store,
    flows: Mapping[str, FoundFlow],
    streams: Sequence[str],
    progress: Callable[[Replayed], None] | None = None,
) -> tuple[Replayed, ...]:
    """Decide each of `streams` again, with the flow it is pinned to and today's code."""
    found = []
    for stream in streams:
        found.append(_one(store, flows, stream))
        if progress is not None:
            progress(found[-1])
    return tuple(found)


def _one(store: Store, flows: Mapping[str, FoundFlow], stream: str) -> Replayed:
    started = time.perf_counter()
    summary = store.summary(stream)
    digest = summary.flow_digest if summary else ""
    name = f"{summary.flow_name} v{summary.flow_version}" if summary else "unknown"
    if digest == IMPORTED.digest:
        return _imported(store, stream, started)
    flow = flows.get(digest)
    if flow is None:
        return Replayed(stream, name, digest, problem="the log does not keep this flow")
    if flow.program is None:
        return Replayed(stream, name, digest, problem=flow.problem, changed=flow.changed)
    code = ""
    try:
        entries = recorded(store.read(stream))
        code = _code(entries, flows)
        again = redecide(programs_of(flows, entries) or flow.program, stream, entries)
    except InterlockError as error:
        return Replayed(stream, name, digest, problem=str(error), changed=flow.changed, code=code)
    return Replayed(
        stream,
        name,
        digest,
        again.events,
        again.decisions,
        again.divergences,
        again.divergence,
        flow.changed,
        code,
        milliseconds=(time.perf_counter() - started) * 1000,
    )


def _imported(store: Store, stream: str, started: float) -> Replayed:
    entries = recorded(store.read(stream))
    found = Replayed(stream, IMPORTED.name, IMPORTED.digest, len(entries), imported=True)
    try:
        problem = "" if check_import(stream, entries) else "it names no flow, and does not begin with an import"
    except InterlockError as error:
        problem = str(error)
    return replace(found, problem=problem, milliseconds=(time.perf_counter() - started) * 1000)


def _code(entries: Sequence[Recorded], flows: Mapping[str, FoundFlow]) -> str:
    """Which code differs: that of the first entry that another one wrote than is here today for its flow."""
    projects = {digest: found.project for digest, found in flows.items()}
    today = {digest: CODE if project is None else code_of(project) for digest, project in projects.items()}
    pairs = ((one.envelope.code, today.get(one.envelope.flow, CODE)) for one in entries)
    return next((said for was, now in pairs if (said := differing(was, now))), "")


def programs_of(flows: Mapping[str, FoundFlow], entries: Sequence[Recorded]) -> dict[str, Program]:
    """By digest, those of every stretch; nothing for a conversation that ran on one flow only."""
    used = {one.envelope.flow for one in entries}
    if len(used) == 1:
        return {}
    return {digest: found.program for digest in used if (found := flows.get(digest)) and found.program is not None}
