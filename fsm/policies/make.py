"""A policy written in Python: the same shape, the same checks and the same digest as from YAML.

```python
policy("paid_after_yes", "Nothing is paid before a yes.", never="refund", unless_before="confirmed:form")
```
"""

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from ...contracts.errors import FlowError
from ...contracts.policies import Policy, Words
from ...contracts.values import printable

Some = str | Iterable[str]
"""One word, or any of several."""


def policy(
    name: str,
    says: str,
    *,
    never: Some = (),
    unless_before: Some = (),
    unless_before_in_order: Iterable[Some] = (),
    each: bool = False,
    enforced: bool = False,
    must: Some = (),
    at_most: Mapping[str, int] | None = None,
    every: Some = (),
    then: Some = (),
    after: Some = (),
    before: Some = (),
    until: Some = (),
) -> Policy:
    """The policy. Raises `FlowError` where a word or a name is none; what it may say is checked with its flow."""
    one_stage = words_from(unless_before)
    stages = tuple(words_from(one) for one in unless_before_in_order)
    try:
        return Policy(
            name=name,
            says=says,
            never=words_from(never),
            unless_before=(*((one_stage,) if one_stage else ()), *stages),
            each=each,
            enforced=enforced,
            must=words_from(must),
            at_most=dict(at_most or {}),
            every=words_from(every),
            then=words_from(then),
            after=words_from(after),
            before=words_from(before),
            until=words_from(until),
        )
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {printable(problem['msg'])}"
            for problem in error.errors(include_url=False, include_context=False, include_input=False)
        )
        fix = "Write words such as tool:refund, decided:review.yes or message, or the name of a state or a tool."
        raise FlowError(f"It does not fit: {problems}.", where=f"policy {name!r}", fix=fix) from error


def words_from(some: Some) -> Words:
    return (some,) if isinstance(some, str) else tuple(some)
