"""A conversation written as a test: given a flow, when these acts, then what it did then."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from ..agents.strict_json import written
from ..contracts.commands import CUSTOMER
from ..service.acts import Act, AgentAnswers, Crashes, Decides, Gives, Passes, Resolves, ToolAnswers, Writes
from ..service.retold import Retold, Told

WIDTH = 110


def pytest_of(one: Retold, flow: str, *, name: str = "", why: str = "") -> str:
    """The text of a test file that plays the conversation on `flow`, as `load_project` takes it."""
    name = name or f"conversation_{one.conversation[:8]}"
    ref = one.program.ref
    states = [one.told[0].state, *(step.rpartition(" → ")[2] for told in one.told for step in told.path)]
    head = [
        f'"""{why or f"A conversation on {ref.name} v{ref.version}, written by `interlock export --as pytest`."}"""',
        "",
        "from interlock.testing import Scenario",
        "",
        "",
        f"def test_{_word(name)}() -> None:",
        f'    """{_shortened(states)}."""',
        f"    with Scenario({', '.join(_given(one, flow))}) as talk:",
    ]
    body = [line for told in one.told for line in _step(told, one)]
    if one.known:
        body.append(_call("then", [("facts", dict(one.known))]))
    return "\n".join((*head, *(_indented(line) for line in body), ""))


def _given(one: Retold, flow: str) -> list[str]:
    found = [_literal(flow)]
    if one.says_its_id:
        found.append(f"conversation={_literal(one.conversation)}")
    if one.facts:
        found.append(f"facts={_literal(dict(one.facts))}")
    if one.tenant is not None:
        found.append(f"tenant={one.tenant!r}")
    if one.customer != CUSTOMER.id:
        found.append(f"customer={one.customer!r}")
    return found


def _step(told: Told, one: Retold) -> list[str]:
    lines = [written_act(told.act, one.customer)] if told.act is not None else []
    expected: list[tuple[str, Any]] = [("state", told.state)]
    if told.path:
        expected.append(("path", told.path))
    if told.said:
        expected.append(("said", told.said))
    if told.ended:
        expected.append(("ended", True))
    if told.path or told.said or told.act is None:
        lines.append(_call("then", expected))
    return lines


def written_act(act: Act, customer: str = "customer") -> str:
    """The act as a line of the test."""
    match act:
        case Writes():
            more: list[tuple[str, Any]] = []
            if act.scores is not None:
                more.append(("classified", dict(act.scores)))
            if act.scope is not None:
                more.append(("scope", act.scope))
            if act.who != customer:
                more.append(("who", act.who))
            return _call("customer_writes", more, act.text)
        case AgentAnswers():
            return _agent(act)
        case ToolAnswers():
            nth = [("nth", act.nth)] if act.nth else []
            if act.fails:
                return _call("tool_fails", nth, act.tool, act.fails)
            return _call("tool_answers", nth, act.tool, *(() if act.result is None else (act.result,)))
        case Decides():
            more = [("who", act.who)]
            if act.roles is not None:
                more.append(("roles", list(act.roles)))
            if act.reason:
                more.append(("reason", act.reason))
            return _call("person_decides", more, act.decision)
        case Gives():
            return _call("input_given", [], act.name, *((dict(act.facts),) if act.facts else ()))
        case Passes():
            return _call("deadline_passes", []) if act.seconds is None else _call("time_passes", [], act.seconds)
        case Crashes():
            return _call("crash_and_restart", [("at_write", act.after)] if act.after else [])
        case Resolves():
            return _call("person_resolves", [], act.how)


def _agent(act: AgentAnswers) -> str:
    nth: list[tuple[str, Any]] = [("nth", act.nth)] if act.nth else []
    if act.fails:
        more: list[tuple[str, Any]] = [] if act.fails == "failed" else [("kind", act.fails)]
        if act.retry_after_seconds is not None:
            more.append(("retry_after_seconds", act.retry_after_seconds))
        return _call("agent_fails", more + nth, act.agent, act.reason or act.fails)
    more = [("calls", [(name, _data(text)) for name, text in act.calls])] if act.calls else []
    if act.refused:
        more.append(("refused", True))
    if act.usage is not None:
        more.append(("usage", act.usage))
    return _call("agent_answers", more + nth, act.agent, *((_data(act.text),) if act.text else ()))


def _data(text: str) -> Any:
    """A JSON object as data, where a test writes it as the same text again; else the text."""
    try:
        found = json.loads(text)
        same = isinstance(found, dict) and written(found) == text
    except (ValueError, RecursionError):
        return text
    return found if same else text


def _call(name: str, named: Sequence[tuple[str, Any]], *plain: Any) -> str:
    parts = [*(_literal(one) for one in plain), *(f"{key}={_literal(value)}" for key, value in named)]
    line = f"talk.{name}({', '.join(parts)})"
    if len(line) <= WIDTH - 8 or len(parts) < 2:
        return line
    return f"talk.{name}(\n" + "".join(f"    {part},\n" for part in parts) + ")"


def _literal(value: Any) -> str:
    """`value` as Python writes it, with double quotes where that is as short."""
    if isinstance(value, str):
        plain = repr(value)
        return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in plain and "\\'" not in plain else plain
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_literal(key)}: {_literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_literal(one) for one in value) + "]"
    if isinstance(value, tuple):
        inner = ", ".join(_literal(one) for one in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    return repr(value)


def _indented(line: str) -> str:
    return "\n".join(f"        {part}" for part in line.split("\n"))


def _shortened(states: Iterable[str]) -> str:
    found = list(states)
    shown = found if len(found) <= 7 else [*found[:4], "…", *found[-2:]]
    return " → ".join(shown)


def _word(name: str) -> str:
    return "".join(one if one.isalnum() and one.isascii() else "_" for one in name)
