"""Facts in a result: fields that the flow declares become readings, typed as declared; the rest stays out."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from ..contracts.errors import CallError
from ..contracts.facts import FactReading, KnownFact, OpenValue
from ..contracts.flow import FactSpec
from ..contracts.payload import Payload, bytes_of
from ..contracts.values import MAX_SAFE_INTEGER, listed
from ..fsm.program import Program
from .clock import minted

_MOST_DIGITS = 16
"""Before the point of an amount: more than the log's integers hold."""


def readings_from(
    program: Program, data: Mapping[str, Any], known: Mapping[str, KnownFact]
) -> tuple[tuple[FactReading, ...], tuple[Payload, ...]]:
    """The declared facts in `data`, and the payloads of those that are sealed.

    A value that does not fit its declared type, or is None, is left out: a guard then finds the fact
    missing, which never opens a row. Money is taken in minor units if an integer, else as a decimal amount.
    """
    readings: list[FactReading] = []
    payloads: list[Payload] = []
    for name, spec in program.facts.items():
        value = data.get(name)
        if value is None:
            continue
        if spec.sealed:
            if isinstance(value, str) and value.strip():
                payload = minted(f"fact_{name}", "fact", bytes_of(value.strip()))
                payloads.append(payload)
                readings.append(FactReading(name=name, payload=payload.ref))
            continue
        taken = open_value(spec, value)
        if taken is not None and (name not in known or known[name].value != taken):
            readings.append(FactReading(name=name, value=taken))
    return tuple(readings), tuple(payloads)


def given_facts(program: Program, facts: Mapping[str, Any]) -> tuple[tuple[FactReading, ...], tuple[Payload, ...]]:
    """Facts that a caller gives. Raises `CallError` with all that the flow does not take as they are."""
    readings, payloads = readings_from(program, facts, {})
    missed = sorted(set(facts) - {one.name for one in readings})
    if missed:
        raise CallError(
            f"These facts do not fit the flow: {listed(missed)}.",
            fix="Give facts that the flow declares, with values of their types.",
        )
    return readings, payloads


def open_value(spec: FactSpec, value: Any) -> OpenValue | None:
    """`value` as the open fact `spec` declares, or None where it does not fit."""
    match spec.type:
        case "yes_no":
            return value if isinstance(value, bool) else None
        case "integer":
            return _within(spec, value)
        case "money":
            return _within(spec, _minor_units(value))
        case "choice":
            return value if isinstance(value, str) and value in spec.choices else None
        case "date":
            try:
                return date.fromisoformat(value).isoformat() if isinstance(value, str) else None
            except ValueError:
                return None
        case _:
            return None


def _minor_units(value: Any) -> Any:
    if not isinstance(value, str | float):
        return value
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    # Looked at before it is multiplied: 1e999999999 overflows, and takes for ever as a whole number.
    if not amount.is_finite() or amount.adjusted() > _MOST_DIGITS:
        return None
    return int((amount * 100).to_integral_value())


def _within(spec: FactSpec, value: Any) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_SAFE_INTEGER:
        return None
    if spec.minimum is not None and value < spec.minimum:
        return None
    return None if spec.maximum is not None and value > spec.maximum else value
