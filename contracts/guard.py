"""Guards as a flow holds them: what the digest covers of each, and conditions combined of them."""

from typing import Literal

from pydantic import model_validator

from .values import Count, Name, SafeInt, Value, added


class GuardSpec(Value):
    """What the digest covers of a guard: its name, version and sentence. `says` has a place for each argument."""

    name: Name
    version: Count = 1
    says: str
    sanitises: bool = added(False)
    """Where it holds, nothing that the facts say is untrusted any more: it was looked at."""


class Guard(Value):
    """A condition on a row: a named guard with its arguments, or a combination, or `otherwise`."""

    op: Literal["call", "all_of", "any_of", "not", "otherwise", "in_digression"] = "call"
    name: str = ""
    arguments: tuple[bool | SafeInt | str, ...] = ()
    parts: tuple["Guard", ...] = ()

    @model_validator(mode="after")
    def _has_its_parts(self) -> "Guard":
        if self.op in ("all_of", "any_of") and not self.parts:
            raise ValueError(f"{self.op}() combines nothing; give it at least one guard")
        if self.op == "not" and len(self.parts) != 1:
            raise ValueError("not_() takes exactly one guard")
        if self.op == "call" and not self.name:
            raise ValueError("a guard needs a name")
        return self

    def __str__(self) -> str:
        match self.op:
            case "otherwise" | "in_digression":
                return self.op
            case "call" if not self.arguments:
                return self.name
            case "call":
                return f"{self.name}({', '.join(_written(argument) for argument in self.arguments)})"
            case "not":
                return f"not_({self.parts[0]})"
            case _:
                return f"{self.op}({', '.join(str(part) for part in self.parts)})"


def _written(argument: bool | int | str) -> str:
    return repr(argument)


otherwise = Guard(op="otherwise")
"""Always holds; may only stand last."""
in_digression = Guard(op="in_digression")
"""Holds while a digression is open; every row that goes to `return` asks it."""
