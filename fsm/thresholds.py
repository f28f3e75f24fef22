"""The least score at which a label is routed to: given for the label, from what a mistake costs, or for all.

Numbers are whole millionths: the log holds no floats.
"""

from ..contracts.errors import CallError
from ..contracts.flow import RouterSpec

MILLION = 1_000_000


def millionths(number: str) -> int:
    """A `Decimal6` as a whole number of millionths: exact, unlike a float."""
    return int(number.replace(".", ""))


def six(number: int) -> str:
    """Whole millionths as a `Decimal6`."""
    return f"{number // MILLION}.{number % MILLION:06d}"


def threshold_of(spec: RouterSpec, label: str) -> int:
    """In millionths. A threshold given for the label comes first, then its costs, then the router's own."""
    given = spec.thresholds.get(label)
    if given is not None:
        return millionths(given)
    misroute = spec.costs.labels.get(label, spec.costs.misroute) if spec.costs else 0
    if spec.costs is not None and misroute:
        return least_probability(misroute, spec.costs.escalation)
    return millionths(spec.threshold)


def least_probability(misroute: int, escalation: int) -> int:
    """The least p, in millionths, with `(1 - p) * misroute < escalation`: routing must cost less than passing on.

    Costs are in one unit of money. A million and one where no p is enough: nothing is routed for free.
    """
    if misroute <= 0 or escalation < 0:
        raise CallError(
            f"The costs {misroute} and {escalation} do not give a threshold.",
            fix="Give a positive cost of a wrong route, and a cost of escalation that is not negative.",
        )
    return max(0, MILLION - (escalation * MILLION - 1) // misroute)
