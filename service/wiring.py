"""One place that puts a running Interlock together: log, presence, flows, agents and runtime.

Options win over the environment: `INTERLOCK_DB`, `INTERLOCK_KEY_FILE`, `OPENAI_API_KEY`, `OPENAI_BASE_URL`,
`INTERLOCK_MODEL`.
"""

import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..contracts.agents import Agent, AgentReply, AgentRequest
from ..contracts.envelope import Entry
from ..contracts.errors import InterlockError, SetupError
from ..contracts.flow import AgentSpec, Flow
from ..contracts.store import FlowRow, Store
from ..fsm.code import Code, Subflow
from ..fsm.program import Program, compiled, with_children
from ..persistence.keyfile import KeyFile
from ..persistence.presence import Presence
from ..persistence.scanning import Reading, Scan
from ..persistence.sql_store import SqlStore
from ..persistence.sqlite_store import SqliteStore
from .checkpointing import Checkpointer
from .clock import Clock
from .codes import codes_of
from .evidence import signing_beside
from .loading import recorded_flow
from .project import Project, load_project
from .redactor import redactor_named
from .runtime import Runtime
from .telemetry import observer_told_by

DEFAULT_DB = "interlock.db"
_LONGEST_URL = 4_000
NO_TEMPERATURE = ("gpt-5", "o1", "o3", "o4")
"""OpenAI's reasoning models refuse `temperature`."""


def db_path(given: Path | None = None) -> Path:
    """Where the log is: the option, `INTERLOCK_DB`, or `interlock.db` in the working folder."""
    return given or Path(os.environ.get("INTERLOCK_DB") or DEFAULT_DB)


def open_log(path: Path, *, create: bool = False) -> SqlStore[Any]:
    """The log in a file, or in the PostgreSQL database whose URL stands in it.

    Raises `SetupError` where there is none and none may be made.
    """
    refuse_url(path)
    if path.is_dir():
        raise SetupError("The log must be a file; this is a folder.", where=str(path), fix="Name a file in it.")
    if not create and not path.is_file():
        raise SetupError(
            "There is no log in this place.",
            where=str(path),
            fix="Give its file with --db or INTERLOCK_DB; `interlock demo --db FILE` and `interlock chat` make one.",
        )
    if create and not path.resolve().parent.is_dir():
        raise SetupError("The log's folder does not exist.", where=str(path.parent), fix="Make the folder first.")
    master = KeyFile(key_path(path))
    url = _url_in(path)
    return _on_postgres(url, path, master) if url else SqliteStore(path, master=master)


def refuse_url(path: Path) -> None:
    """Raises `SetupError`, which does not repeat it, for a URL in the place of the file."""
    if re.match(r"postgres(ql)?:/", str(path)):
        raise SetupError(
            "A URL stands where the file of the log should.",
            fix="Write it into a file that only you may read (`umask 077; echo URL > log.url`), and give the file: "
            "what stands on a command line is seen by others, with its password.",
        )


def _url_in(path: Path) -> str:
    """The URL that stands in a file, if it holds one."""
    if not path.is_file() or path.stat().st_size > _LONGEST_URL:
        return ""
    text = path.read_bytes().strip()
    return text.decode("utf-8", "replace") if text.startswith((b"postgresql://", b"postgres://")) else ""


def _on_postgres(url: str, path: Path, master: KeyFile) -> SqlStore[Any]:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise SetupError(
            "The file with the database's URL may be read by others.", where=str(path), fix=f"chmod 600 {path}"
        )
    try:
        from ..persistence.postgres_store import PostgresStore
    except ImportError as error:
        raise SetupError(
            "PostgreSQL needs a driver that is not installed.", fix="pip install 'interlock[postgres]'"
        ) from error
    return PostgresStore(url, master=master)


def scan_of(path: Path) -> Reading:
    """What reads the entries of a log many at once, beside its store. Raises `StorageError`."""
    url = _url_in(path)
    if not url:
        return Scan(path)
    from ..persistence.postgres_scanning import PostgresScan

    return PostgresScan(url)


def key_path(db: Path) -> Path:
    """Where the master key of the log's texts is: `INTERLOCK_KEY_FILE`, or a file beside the log."""
    return Path(os.environ.get("INTERLOCK_KEY_FILE") or db.with_name(f"{db.name}.key"))


# -- agents ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model answers. Empty fields are left to the environment, then to the flow."""

    base_url: str = ""
    model: str = ""

    @property
    def server(self) -> str:
        return self.base_url or os.environ.get("OPENAI_BASE_URL", "")

    @property
    def is_real(self) -> bool:
        """Whether a model is called at all: there is a key, or a server was named."""
        return bool(self.server or os.environ.get("OPENAI_API_KEY"))

    def check(self) -> None:
        """Raises `SetupError` for a server's address that no call could reach."""
        if self.server and not _is_address(self.server):
            raise SetupError(
                "The model's base URL is no http or https address.",
                where=self.server[:200],
                fix="Give --base-url or OPENAI_BASE_URL whole, such as http://localhost:11434/v1.",
            )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # no number for a port, or half an IPv6 address
        return False


@dataclass(frozen=True, slots=True)
class Agents:
    """The agent that runs the flow's agents, and its description in words. `scripted` calls no model."""

    agent: Agent
    says: str
    scripted: bool

    async def close(self) -> None:
        """Let go of the connections that the running event loop opened."""
        closing = getattr(self.agent, "aclose", None)
        if closing is not None:
            await closing()


class RenamedModel:
    """Asks another model than the flow declares: for a server that has its own names."""

    def __init__(self, inner: Agent, model: str) -> None:
        self.name, self._inner, self._model = inner.name, inner, model

    async def run(self, request: AgentRequest) -> AgentReply:
        return await self._inner.run(replace(request, model=self._model))

    async def aclose(self) -> None:
        closing = getattr(self._inner, "aclose", None)
        if closing is not None:
            await closing()


def agents_for(project: Project, choice: ModelChoice) -> Agents:
    """A real model where a key or a server is given, else the project's script, else `SetupError`."""
    choice.check()
    if choice.is_real:
        return _real(project, choice)
    if project.scripted is not None:
        return Agents(project.scripted(), "scripted: canned answers, no model is called", scripted=True)
    if not _agents_of(project):
        return Agents(NoAgent(), "the flow has no agents", scripted=True)
    raise SetupError(
        f"Flow {project.program.flow.name!r} has agents and no script, and no model is configured.",
        where=project.source,
        fix="Set OPENAI_API_KEY, give --base-url of a compatible server, or put a `scripted.py` beside the flow.",
    )


class NoAgent:
    """Stands where a flow has no agents."""

    name = "none"

    async def run(self, request: AgentRequest) -> AgentReply:
        raise SetupError(f"No agent is configured for {request.agent!r}.", fix="Set OPENAI_API_KEY or give --base-url.")


def _agents_of(project: Project) -> list[AgentSpec]:
    """The agents of the flow and of those that it contains."""
    return [agent for program in with_children([project.program]) for agent in program.flow.agents]


def _real(project: Project, choice: ModelChoice) -> Agents:
    from ..agents.openai_model import DEFAULT_MODEL, OpenAIAgent

    renamed = choice.model or os.environ.get("INTERLOCK_MODEL", "")
    models = {renamed} if renamed else {one.model or DEFAULT_MODEL for one in _agents_of(project)}
    agent: Agent = OpenAIAgent(
        base_url=choice.server or None, send_temperature=not any(one.startswith(NO_TEMPERATURE) for one in models)
    )
    if renamed:
        agent = RenamedModel(agent, renamed)
    where = choice.server or "OpenAI"
    return Agents(agent, f"model {', '.join(sorted(models))} at {where}", scripted=False)


# -- flows that a log needs -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FoundFlow:
    """The program that a recorded flow digest stands for today, or why there is none.

    `changed` says that the flow's file has another digest today; the program is then made of the flow
    as it was recorded, which the log keeps, and of today's code.
    """

    row: FlowRow
    program: Program | None = None
    project: Project | None = None
    changed: str = ""
    problem: str = ""
    today: Program | None = None
    """The flow as it stands at its source today, whatever its digest."""


def found_flow(
    row: FlowRow,
    given: Project | None = None,
    *,
    load: Callable[[str], Project] = load_project,
    kept: Callable[[str], FlowRow | None] = lambda _: None,
) -> FoundFlow:
    """The flow of a log row, with its code found where the row says, or taken from the project `given`.

    A row of a child flow says where the flow is that contains it. `kept` gives other rows of the log by digest: the
    flows that a recorded one contained then, where the project contains others today.
    """
    try:
        project = given or load(row.source)
    except InterlockError as error:
        return FoundFlow(row, problem=str(error) if row.source else "The log does not say where its code is.")
    today = _today(project, row)
    if today.ref.digest == row.digest:
        return FoundFlow(row, today, project, today=today)
    try:
        flow = recorded_flow(row)
        program = compiled(flow, _code_then(flow, today.code, kept))
    except InterlockError as error:
        problem = f"today's code does not fit the recorded flow: {error}"
        return FoundFlow(row, project=project, changed=today.ref.digest, problem=problem, today=today)
    return FoundFlow(row, program, project, changed=today.ref.digest, today=today)


def _today(project: Project, row: FlowRow) -> Program:
    """The project's flow that the row stands for, itself or one that it contains: the same, or one of its name."""
    family = tuple(with_children([project.program]))
    same = (one for one in family if one.ref.digest == row.digest)
    named = (one for one in family if one.ref.name == row.name)
    return next(same, None) or next(named, None) or project.program


def _code_then(flow: Flow, code: Code, kept: Callable[[str], FlowRow | None]) -> Code:
    """Today's code, with the child flows that the recorded flow contained."""
    subflows = dict(code.subflows)
    for spec in flow.subflows:
        now, row = subflows.get(spec.name), kept(spec.digest)
        if now is not None and now.flow.digest != spec.digest and row is not None:
            child = recorded_flow(row)
            subflows[spec.name] = Subflow(child, _code_then(child, now.code, kept))
    return replace(code, subflows=subflows)


def found_flows(store: Store, given: Project | None = None) -> dict[str, FoundFlow]:
    """Every flow of the log by its digest. Each place is loaded once."""
    loaded: dict[str, Project] = {}

    def load(source: str) -> Project:
        if source not in loaded:
            loaded[source] = load_project(source)
        return loaded[source]

    return {row.digest: found_flow(row, _of(given, row), load=load, kept=store.flow) for row in store.flows()}


def _of(given: Project | None, row: FlowRow) -> Project | None:
    names = {one.ref.name for one in with_children([given.program])} if given is not None else set()
    return given if row.name in names else None


# -- the runtime ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wired:
    """Everything that a command needs to run conversations."""

    store: SqlStore[Any]
    runtime: Runtime
    agents: Agents
    project: Project

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Runtime]:
        """The runtime, entered; on leaving, turns in hand finish and the agents' connections are closed."""
        try:
            async with self.runtime:
                yield self.runtime
        finally:
            await self.agents.close()


@contextmanager
def wired(
    path: Path,
    project: Project,
    choice: ModelChoice,
    *,
    clock: Clock | None = None,
    others: Iterable[FoundFlow] = (),
    on_event: Callable[[str, Entry], None] | None = None,
    create: bool = True,
) -> Iterator[Wired]:
    """A runtime on the log at `path`; its caller enters it with `running`. Closes the log on leaving.

    `others` are flows of the log that run beside the project's: conversations that began on them go on. Raises
    `KeyUnavailable`, before anything is written, where texts could not be encrypted or read.
    """
    agents = agents_for(project, choice)
    store = open_log(path, create=create)
    presence: Presence | None = None
    signing: Checkpointer | None = None
    try:
        store.try_key()
        signing = signing_beside(path, store)
        presence = store.presence()
        others = tuple(others)
        programs, sources = _programs(project, others)
        codes = codes_of(project, project.program)
        for other in others:
            if other.program is not None and other.project is not None:
                codes = {**codes_of(other.project, other.program), **codes}
        runtime = Runtime(
            store,
            programs.values(),
            agents.agent,
            clock=clock,
            presence=presence,
            sources=sources,
            codes=codes,
            on_event=on_event,
            observer=observer_told_by(),
            redactor=redactor_named(os.environ.get("INTERLOCK_REDACT", "")),
            receipts=signing.receipt if signing is not None else None,
        )
        yield Wired(store, runtime, agents, project)
    finally:
        if presence is not None:
            presence.close()
        if signing is not None:
            signing.close()
        store.close()


def _programs(project: Project, others: Iterable[FoundFlow]) -> tuple[dict[str, Program], Mapping[str, str]]:
    """By digest, the project's own first: of two with one version, the first is what new conversations start on."""
    programs = {project.program.ref.digest: project.program}
    # A child flow is found where the flow is that contains it: both are needed to go on with it.
    sources = {one.ref.digest: project.source for one in with_children([project.program])}
    for other in others:
        if other.program is not None:
            programs.setdefault(other.row.digest, other.program)
            for one in with_children([other.program]):
                sources.setdefault(one.ref.digest, other.row.source)
    return programs, sources
