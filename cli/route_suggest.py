"""The threshold that `interlock route train` suggests, and where it comes from."""

from collections.abc import Iterable

from ..agents.evaluation import Promise
from ..agents.training import TrainingReport
from .route_report import Costs

_UNASKED = (0.05, 0.10)
"""Of the promises the one that is suggested where nobody asked for an error: the first of these that is made."""
_PLAIN = "0.5"


def promise_for(promises: Iterable[tuple[float, Promise | None]], at_most: float) -> Promise | None:
    """The promise that keeps the error at or below `at_most` and routes the most; None where none does."""
    kept = [one for _, one in promises if one is not None and one.bound <= at_most]
    return max(kept, key=lambda one: one.coverage, default=None)


def suggested_threshold(report: TrainingReport, costs: Costs | None, at_most: float | None) -> tuple[str, str]:
    """The threshold for the flow, and why it is this one.

    An error that was asked for comes first, then costs: with both, whichever is stricter keeps both.
    """
    asked = promise_for(report.promises, at_most) if at_most is not None else None
    if asked is not None:
        if costs is not None and float(costs.threshold) > float(asked.threshold):
            return costs.threshold, f"follows from the costs, and is stricter than at most {at_most:.1%} wrong needs"
        return asked.threshold, f"promises at most {at_most:.1%} wrong"
    short = "" if at_most is None else f"; does not promise at most {at_most:.1%} wrong"
    if costs is not None:
        return costs.threshold, f"follows from the costs{short}"
    if report.threshold is not None:
        return report.threshold, f"the best balance of labels routed and wrongly routed{short}"
    promises = dict(report.promises)
    for error in _UNASKED:
        promise = promises.get(error)
        if promise is not None:
            return promise.threshold, f"promises at most {error:.0%} wrong{short}"
    return _PLAIN, f"no promise is made: a guess to measure{short}"
