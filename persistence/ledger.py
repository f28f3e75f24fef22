"""The ledger of tenants' daily budgets: each act is one write transaction, so two processes never both
take the last of a budget."""

from collections.abc import Sequence

from ..contracts.store import Reservation, Spent
from . import statements as sql
from .connection import LogConnection


def reserve(connection: LogConnection, wanted: Reservation, at_most: Spent) -> Spent | None:
    """None where it was reserved, else what the day stands at."""
    with connection.writing():
        connection.hold_budget(wanted.tenant)
        stands = spent(connection, wanted.tenant, wanted.day)
        after = stands.plus(wanted.amount)
        if not after.fits(at_most):
            return stands
        amount = wanted.amount
        _put_day(connection, wanted.tenant, wanted.day, after)
        row = (wanted.stream, wanted.effect, wanted.tenant, wanted.day, amount.calls, amount.tokens, amount.cost)
        connection.add(sql.PUT_RESERVATION, [row])
    return None


def settle(connection: LogConnection, stream: str, effect: int, used: Spent | None) -> None:
    """Nothing changes where nothing is reserved."""
    with connection.writing():
        before = connection.run(sql.RESERVATION_OF, in_stream=stream, of_effect=effect)
        if not before:
            return
        connection.hold_budget(_reservation(before[0]).tenant)
        rows = connection.run(sql.RESERVATION_OF, in_stream=stream, of_effect=effect)
        if not rows:  # another process was first
            return
        found = _reservation(rows[0])
        if used is not None:
            stands = spent(connection, found.tenant, found.day)
            _put_day(connection, found.tenant, found.day, stands.minus(found.amount).plus(used))
        connection.change(sql.DROP_RESERVATION, in_stream=stream, of_effect=effect)


def reservations(connection: LogConnection) -> Sequence[Reservation]:
    return tuple(_reservation(row) for row in connection.run(sql.RESERVATIONS))


def spent(connection: LogConnection, tenant: str, day: str) -> Spent:
    rows = connection.run(sql.SPENT, of_tenant=tenant, on_day=day)
    return Spent(*rows[0]) if rows else Spent()


def _put_day(connection: LogConnection, tenant: str, day: str, sum_: Spent) -> None:
    connection.add(sql.PUT_TENANT_DAY, [(tenant, day, sum_.calls, sum_.tokens, sum_.cost)])


def _reservation(row: Sequence[object]) -> Reservation:
    stream, effect, tenant, day, calls, tokens, cost = row
    amount = Spent(_whole(calls), _whole(tokens), _whole(cost))
    return Reservation(str(stream), _whole(effect), str(tenant), str(day), amount)


def _whole(value: object) -> int:
    return value if isinstance(value, int) else int(str(value))
