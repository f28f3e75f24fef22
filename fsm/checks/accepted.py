"""What an owner accepts of what the flow can do: with a reason, or not at all."""

from collections.abc import Iterator

from ...contracts.errors import Fault
from ..prove.codes import QUESTION
from .names import suggestion
from .survey import Survey


def reasons_given(survey: Survey) -> Iterator[Fault]:
    for code, reason in survey.flow.checks.items():
        path = f"checks.{code}"
        if code not in QUESTION:
            what = f"There is no question {code!r} about what a flow can do."
            yield survey.fault("S250", path, what, suggestion(code, sorted(QUESTION)))
        elif len(reason.split()) < 3:
            what = f"{code} is accepted without a reason."
            yield survey.fault("S250", path, what, "Say why in a sentence: somebody signs it.")


ACCEPTED = (reasons_given,)
