"""Prices of models in a table beside the flow: dated, and in place of what the flow says, for the bill alone.

```yaml
dated: 2026-11
currency: EUR
models:
  gpt-4.1-mini: {input: "0.40", output: "1.60"}   # per million tokens
```
"""

from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from types import MappingProxyType

from ..contracts.errors import CallError
from ..contracts.flow import Flow
from ..contracts.limits import Price
from ..contracts.values import MAX_SAFE_INTEGER
from ..fsm.program import Program
from ..fsm.source import Node, Scalar, Table, read_yaml

_FORM = 'Write `models:` with lines such as `gpt-4.1-mini: {input: "0.40", output: "1.60"}`, per million tokens.'


def priced(program: Program, file: Path) -> Program:
    """The program with the table's prices, in its child flows too. Raises `CallError` where it is no such table."""
    table = prices_in(file, program.flow)
    return _priced(program, table)


def _priced(program: Program, table: dict[str, Price]) -> Program:
    agents = tuple(one.changed(price=table.get(one.model, one.price)) for one in program.flow.agents)
    children = {name: _priced(one, table) for name, one in program.children.items()}
    return replace(program, flow=program.flow.changed(agents=agents), children=MappingProxyType(children))


def prices_in(file: Path, flow: Flow) -> dict[str, Price]:
    """Price by model. Raises `CallError` with the line of what does not fit."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise CallError(
            f"The prices cannot be read: {error.strerror}.", where=str(file), fix="Check the path."
        ) from error
    node, faults = read_yaml(data)
    if faults:
        raise _wrong(file, faults[0].line, faults[0].what, faults[0].fix)
    entries = node.entries if isinstance(node, Table) else {}
    models, currency = entries.get("models"), entries.get("currency")
    if not isinstance(models, Table):
        raise _wrong(file, 1, "The file has no table `models`.")
    if isinstance(currency, Scalar) and currency.text != flow.currency:
        what = f"The prices are in {currency.text!r}, and the flow counts in {flow.currency!r}."
        raise _wrong(file, currency.line, what, "Give prices in the flow's currency.")
    dated = entries.get("dated")
    when = dated.text if isinstance(dated, Scalar) else ""
    return {name: _price(file, name, one, when) for name, one in models.entries.items()}


def _price(file: Path, model: str, node: Node, dated: str) -> Price:
    if not isinstance(node, Table) or not {"input", "output"} <= set(node.entries) <= {"input", "output", "dated"}:
        raise _wrong(
            file, node.line, f"The model {model!r} needs `input` and `output`, and nothing but `dated` besides."
        )
    own = node.entries.get("dated")
    return Price(
        input_nano=_nano(file, model, node.entries["input"]),
        output_nano=_nano(file, model, node.entries["output"]),
        dated=own.text if isinstance(own, Scalar) else dated,
    )


def _nano(file: Path, model: str, node: Node) -> int:
    """Billionths for a token, of an amount for a million: a thousand times as many."""
    try:
        amount = Decimal(node.text) * 1_000 if isinstance(node, Scalar) else Decimal(-1)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount <= MAX_SAFE_INTEGER or amount != amount.to_integral_value():
        raise _wrong(file, node.line, f"The model {model!r} has a price that is no amount of at most three decimals.")
    return int(amount)


def _wrong(file: Path, line: int, what: str, fix: str = _FORM) -> CallError:
    return CallError(what, where=f"{file}, line {line}", fix=fix)
