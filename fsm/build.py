"""A flow written in Python: the same model, the same checks and the same digest as from YAML.

```python
flow(name="refunds", version=1, owner="payments", initial="checking", code=CODE, states=[...], transitions=[
    #    from        on      only if              go to            policy
    row("checking", "done", amount_at_most(100), "refunded",      "RF-7"),
    row("checking", "done", otherwise,           "human_review",  "RF-8"),
])
```
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel, ValidationError

from ..contracts.canonical import sha256_hex
from ..contracts.errors import FlowError
from ..contracts.flow import AgentSpec, FactSpec, FinalState, Flow, RouterSpec, State, Transition
from ..contracts.guard import Guard
from ..contracts.limits import Limits, Price
from ..contracts.policies import Policy
from ..contracts.subflow import SubflowFact, SubflowSpec
from ..contracts.values import printable
from .check import faults_in, refused
from .code import Code, Subflow
from .guards import GuardMaker, as_guard


def row(
    source: str, on: str, only_if: Guard | GuardMaker, go_to: str, policy: str, *, push: bool = False
) -> Transition:
    """One row. `go_to` may be `push NAME` for a digression; a declared guard without arguments needs no brackets."""
    pushed, word, target = go_to.rpartition("push ")
    if word and not pushed:
        go_to, push = target.strip(), True
    try:
        return Transition(source=source, on=on, guard=as_guard(only_if), target=go_to, policy=policy, push=push)
    except ValidationError as error:
        raise _refused(error, f"row {source!r} on {on!r}") from error


def flow(
    *,
    name: str,
    version: int,
    owner: str,
    initial: str,
    states: Iterable[State],
    transitions: Iterable[Transition],
    says: str = "",
    currency: str = "EUR",
    facts: Iterable[FactSpec] = (),
    agents: Iterable[AgentSpec] = (),
    routers: Iterable[RouterSpec] = (),
    digressions: str | None = None,
    limits: Limits | None = None,
    phrases: Mapping[str, str] | None = None,
    policies: Iterable[Policy] = (),
    four_eyes: Mapping[str, int] | None = None,
    prices: Mapping[str, Price] | None = None,
    person_within: int = 12,
    checks: Mapping[str, str] | None = None,
    code: Code | None = None,
) -> Flow:
    """The checked flow. Raises one `FlowError` whose `faults` are all there are."""
    code = code or Code()
    try:
        built = Flow(
            name=name,
            version=version,
            owner=owner,
            says=says,
            initial=initial,
            currency=currency,
            facts=tuple(facts),
            agents=tuple(agents),
            routers=tuple(routers),
            digressions=digressions,
            states=tuple(states),
            transitions=tuple(transitions),
            limits=limits or Limits(),
            phrases=dict(phrases or {}),
            policies=tuple(policies),
            four_eyes=dict(four_eyes or {}),
            prices=dict(prices or {}),
            person_within=person_within,
            checks=dict(checks or {}),
        )
    except ValidationError as error:
        raise _refused(error, f"flow {name!r}") from error
    return _faultless(completed(built, code), code)


def _faultless(built: Flow, code: Code) -> Flow:
    faults = faults_in(built, code)
    if faults:
        raise refused(faults, "", built.name)
    return built


def completed(flow: Flow, code: Code) -> Flow:
    """The flow with what its digest covers of the code it names: guards, tools and contracts' schemas.

    Names that the code does not hold are left for the check to report.
    """
    declared = code.every_guard
    guards = sorted({name for row in flow.transitions for name in guard_names(row.guard)} & set(declared))
    tools = sorted(set(tool_names(flow)) & set(code.tools))
    files = {one.name: one.file for one in flow.subflows}
    named = sorted({*files, *(state.flow for state in flow.states if state.kind == "subflow")} & set(code.subflows))
    return flow.changed(
        guards=tuple(declared[name].spec for name in guards),
        tools=tuple(code.tools[name].spec for name in tools),
        agents=tuple(_with_schema(priced(agent, flow), code) for agent in flow.agents),
        subflows=tuple(subflow_spec(name, code.subflows[name], files.get(name, "")) for name in named),
    )


def priced(agent: AgentSpec, flow: Flow) -> AgentSpec:
    """The agent with the price of its model from the flow's table, unless it has its own."""
    if agent.price != Price() or agent.model not in flow.prices:
        return agent
    return agent.changed(price=flow.prices[agent.model])


def subflow_spec(name: str, subflow: Subflow, file: str = "") -> SubflowSpec:
    """What a parent flow holds of a child flow, under the name that its states call it by."""
    flow = subflow.flow
    ends = [state for state in flow.states if isinstance(state, FinalState)]
    return SubflowSpec(
        name=name,
        flow=flow.name,
        version=flow.version,
        digest=flow.digest,
        currency=flow.currency,
        finals=tuple(state.name for state in ends),
        failures=tuple(state.name for state in ends if state.failure),
        facts=tuple(SubflowFact(name=one.name, type=one.type, choices=one.choices) for one in flow.facts),
        levels=1 + max((one.levels for one in flow.subflows), default=0),
        file=file or f"{name}.yaml",
    )


def guard_names(guard: Guard) -> Iterator[str]:
    """The declared guards that a condition asks, in order."""
    if guard.op == "call":
        yield guard.name
    for part in guard.parts:
        yield from guard_names(part)


def tool_names(flow: Flow) -> Iterator[str]:
    for state in flow.states:
        if state.kind == "agent":
            yield from state.tools
        elif state.kind == "call":
            yield state.tool


def schema_bytes(contract: type[BaseModel]) -> int:
    """Length of the contract's JSON schema."""
    return len(schema_of(contract))


def schema_digest(contract: type[BaseModel]) -> str:
    """SHA-256 of the contract's JSON schema."""
    return sha256_hex(schema_of(contract))


def schema_of(contract: type[BaseModel]) -> bytes:
    """The JSON schema in sorted ASCII JSON (a schema may hold floats, RFC 8785 as we admit it may not)."""
    return json.dumps(contract.model_json_schema(), sort_keys=True, separators=(",", ":")).encode()


def _with_schema(agent: AgentSpec, code: Code) -> AgentSpec:
    contract = code.contracts.get(agent.contract or "")
    if contract is None:
        return agent
    return agent.changed(contract_schema=schema_digest(contract), contract_bytes=len(schema_of(contract)))


def _refused(error: ValidationError, where: str) -> FlowError:
    problems = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'])}: {printable(problem['msg'])}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    )
    return FlowError(f"It does not fit: {problems}.", where=where, fix="Write values of the declared types.")
