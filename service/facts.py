"""Facts in a result: fields that the flow declares become readings, typed as declared; the rest stays out."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from ..contracts.facts import FactReading, KnownFact, OpenValue
from ..contracts.flow import FactSpec
from ..contracts.payload import Payload, bytes_of
from ..contracts.values import MAX_SAFE_INTEGER
from ..fsm.program import Program
from .clock import minted


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
    if isinstance(value, str | float):
        try:
            return int((Decimal(str(value)) * 100).to_integral_exact())
        except (InvalidOperation, OverflowError, ValueError):
            return None
    return value


def _within(spec: FactSpec, value: Any) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_SAFE_INTEGER:
        return None
    if spec.minimum is not None and value < spec.minimum:
        return None
    return None if spec.maximum is not None and value > spec.maximum else value
