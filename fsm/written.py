"""A flow written as YAML: what `read_flow` reads back to the same flow with the same digest.

For export, and for whoever wrote the flow in Python and wants the file that a compliance officer signs.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..contracts.flow import (
    AgentSpec,
    BroadcastState,
    FactSpec,
    Flow,
    MemberSpec,
    RouterSpec,
    RoutingCosts,
    State,
    Transition,
)
from ..contracts.limits import Limits, Price
from ..contracts.policies import Policy
from ..contracts.values import Value
from .fields import STATE_KEYS
from .render import minor_digits
from .row_text import COLUMNS

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.()'-]*( [A-Za-z0-9_.()'-]+)*|[0-9]{1,15}[smhd]")
_NOT_TEXT = frozenset({"null", "true", "false"})
"""Plain words that YAML takes for something else, in any case."""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def written_yaml(flow: Flow) -> str:
    """The flow as a file; guards, tools and contracts are named, as they live in code."""
    digits = minor_digits(flow.currency)
    parts = [
        *(f"{key}: {_scalar(value)}" for key, value in _head(flow)),
        *([f"limits: {_table(_limits(flow.limits))}"] if flow.limits != Limits() else ()),
        *_named("phrases", {key: _scalar(text) for key, text in flow.phrases.items()}),
        *_named("four_eyes", {key: str(number) for key, number in flow.four_eyes.items()}),
        *_named("checks", {key: _scalar(text) for key, text in flow.checks.items()}),
        *_named("prices", {model: _price(one) for model, one in flow.prices.items()}),
        *_named("facts", {one.name: _table(_fact(one, digits)) for one in flow.facts}),
        *_long("agents", {one.name: _agent(one, flow.prices) for one in flow.agents}),
        *_long("routers", {one.name: _router(one, digits) for one in flow.routers}),
        *([f"digressions: {flow.digressions}"] if flow.digressions is not None else ()),
        *_named("subflows", {one.name: _scalar(one.file or f"{one.name}.yaml") for one in flow.subflows}),
        *_long("policies", {one.name: _policy(one) for one in flow.policies}),
        *_named("states", {one.name: _table(_state(one)) for one in flow.states}),
        *_rows(flow.transitions),
    ]
    return "\n".join(parts) + "\n"


def duration(seconds: int) -> str:
    """`90m` for 5,400 seconds: the largest unit that needs no fraction."""
    if not 0 < seconds < 10**15:
        return str(seconds)
    size, unit = next((size, unit) for size, unit in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}"


def decimal(amount: int, places: int) -> str:
    """`amount` 10**-places parts as a decimal number, without zeros at its end."""
    whole, part = divmod(abs(amount), 10**places)
    fraction = f"{part:0{places}d}".rstrip("0") if places else ""
    return f"{'-' if amount < 0 else ''}{whole}{'.' + fraction if fraction else ''}"


Cell = str | int | bool | tuple[str, ...] | tuple[tuple[str, ...], ...] | Mapping[str, Any]


def _head(flow: Flow) -> Iterator[tuple[str, Cell]]:
    yield "flow", flow.name
    yield "version", flow.version
    yield "owner", flow.owner
    if flow.says:
        yield "says", flow.says
    yield "currency", flow.currency
    yield "initial", flow.initial
    if flow.sensitive:
        yield "sensitive", True
    if flow.person_within != Flow.model_fields["person_within"].default:
        yield "person_within", flow.person_within


def _changed(value: Value, skip: Iterable[str] = ()) -> dict[str, Cell]:
    """The fields that differ from their defaults."""
    fields = type(value).model_fields
    skipped = {"name", "kind", *skip}
    found: dict[str, Cell] = {}
    for key, field in fields.items():
        one = getattr(value, key)
        if key not in skipped and (field.is_required() or one != field.default):
            found[key] = one
    return found


def _state(state: State) -> dict[str, Cell]:
    _, keys = STATE_KEYS[state.kind]
    found = _changed(state)
    written: dict[str, Cell] = {"kind": state.kind}
    for key, one in keys.items():
        value = found.get(one.into or key)
        if value is not None and key != "kind":
            written[key] = duration(value) if one.into and isinstance(value, int) else value
    if isinstance(state, BroadcastState) and state.members:
        written["members"] = {one.name: _member(one) for one in state.members}
    return written


def _member(member: MemberSpec) -> dict[str, Cell]:
    found = {key: value for key, value in _changed(member).items() if (key, value) != ("agent", member.name)}
    if "timeout_seconds" in found:
        found["timeout"] = duration(member.timeout_seconds)
        del found["timeout_seconds"]
    return found


def _fact(fact: FactSpec, digits: int) -> dict[str, Cell]:
    found = _changed(fact)
    for key in ("minimum", "maximum"):
        value = found.get(key)
        if fact.type == "money" and isinstance(value, int):
            found[key] = decimal(value, digits)
    return found


def _agent(agent: AgentSpec, prices: Mapping[str, Price]) -> dict[str, str]:
    found = _changed(agent, ("price", "breaker", "contract_schema", "contract_bytes", "cache_seconds"))
    if agent.cache_seconds:
        found["cache"] = duration(agent.cache_seconds)
    if "temperature" in found:
        found["temperature"] = _short(agent.temperature)
    written = {key: _block_text(one) if key == "instructions" else _scalar(one) for key, one in found.items()}
    if agent.price not in (Price(), prices.get(agent.model)):
        written["price"] = _price(agent.price)
    if agent.breaker is not None:
        one = agent.breaker
        within, is_open = duration(one.window_seconds), duration(one.open_seconds)
        written["breaker"] = _table({"failures": one.failures, "within": within, "open": is_open})
    return written


def _price(price: Price) -> str:
    amounts = {"input": decimal(price.input_nano, 3), "output": decimal(price.output_nano, 3)}
    return _table({**amounts, **({"dated": price.dated} if price.dated else {})})


def _router(router: RouterSpec, digits: int) -> dict[str, str]:
    found = _changed(router, ("rules", "escalations", "costs"))
    for gate in ("threshold", "margin", "scope", "screen_threshold", "notice"):
        if gate in found:
            found[gate] = _short(str(found[gate]))
    written = {key: _scalar(one) for key, one in found.items()}
    if router.thresholds:
        written["thresholds"] = _table({label: _short(least) for label, least in router.thresholds.items()})
    if router.costs is not None:
        written["costs"] = _costs(router.costs, digits)
    for key, rules in (("escalations", router.escalations), ("rules", router.rules)):
        if rules:
            written[key] = "".join(f"\n      - {_table(_changed(rule))}" for rule in rules)
    return written


def _policy(policy: Policy) -> dict[str, str]:
    found: dict[str, Cell] = {"says": policy.says}
    if len(policy.unless_before) == 1:
        found["unless_before"] = policy.unless_before[0]
    elif policy.unless_before:
        found["unless_before_in_order"] = policy.unless_before
    found |= _changed(policy, ("says", "unless_before"))
    return {key: _scalar(one[0] if isinstance(one, tuple) and len(one) == 1 else one) for key, one in found.items()}


def _costs(costs: RoutingCosts, digits: int) -> str:
    cells: dict[str, Cell] = {"escalation": decimal(costs.escalation, digits)}
    if costs.misroute:
        cells["misroute"] = decimal(costs.misroute, digits)
    if costs.labels:
        cells["labels"] = {label: decimal(amount, digits) for label, amount in costs.labels.items()}
    return _table(cells)


def _limits(limits: Limits) -> dict[str, Cell]:
    found = _changed(limits)
    for key, value in found.items():
        if key.endswith("_cost") and isinstance(value, int):
            found[key] = decimal(value, 9)
        elif key.endswith("_seconds") and isinstance(value, int):
            found[key] = duration(value)
    return found


def _rows(rows: Iterable[Transition]) -> Iterator[str]:
    """The rows with their columns lined up."""
    written = [
        [
            _scalar(cell)
            for cell in (
                row.source,
                row.on,
                str(row.guard),
                f"push {row.target}" if row.push else row.target,
                row.policy,
            )
        ]
        for row in rows
    ]
    yield "transitions:" if written else "transitions: []"
    columns = zip(COLUMNS, *written, strict=True)
    widths = [max(len(cell) for cell in column) + 2 for column in columns][:-1]
    if written:
        names = (f"{name:{width}}" for name, width in zip(COLUMNS, widths, strict=False))
        yield f"  #  {''.join(names)}{COLUMNS[-1]}"
    for row in written:
        cells = (f"{cell + ',':{width}}" for cell, width in zip(row, widths, strict=False))
        yield f"  - [{''.join(cells)}{row[-1]}]"


def _named(section: str, written: Mapping[str, str]) -> Iterator[str]:
    if written:
        width = max(map(len, written)) + 2
        yield f"{section}:"
        yield from (f"  {name + ':':{width}}{text}" for name, text in written.items())


def _long(section: str, written: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    if written:
        yield f"{section}:"
    for name, cells in written.items():
        yield f"  {name}:"
        for key, text in cells.items():
            yield f"    {key}:{text}" if text.startswith("\n") else f"    {key}: {text}"


def _table(cells: Mapping[str, Cell]) -> str:
    return "{" + ", ".join(f"{_scalar(key)}: {_scalar(one)}" for key, one in cells.items()) + "}"


def _scalar(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return value if _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT else _quoted(value)
        case tuple():
            return f"[{', '.join(_scalar(one) for one in value)}]"
        case Mapping():
            return _table(value)
        case _:
            return _quoted(str(value))


def _quoted(text: str) -> str:
    """Double quotes, with an escape for every character that is not plainly printable."""
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    if character in "\n\t":
        return "\\n" if character == "\n" else "\\t"
    code = ord(character)
    return f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def _block_text(value: Cell) -> str:
    """Several lines as a YAML block where that says exactly the same, else in quotes."""
    text = str(value)
    lines = text.split("\n")
    simple = len(lines) > 1 and all(line.isprintable() and line == line.strip() and line for line in lines)
    if not simple:
        return _scalar(text)
    return "|-" + "".join(f"\n      {line}" for line in lines)


def _short(number: str) -> str:
    return number.rstrip("0").rstrip(".")
