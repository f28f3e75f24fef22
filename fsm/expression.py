"""Guard text, as it stands in a row, read into a `Guard`: names, calls and literals, and nothing else.

`all_of(customer_is_verified, not_(amount_at_most(100)))` is Python syntax read with `ast` and never run.
`str(guard)` writes it back. Built-in guards take names as bare words: `is_(level, gold)` is `is_('level', 'gold')`.
"""

import ast
import warnings

from ..contracts.errors import FlowError
from ..contracts.guard import Guard, in_digression, otherwise
from ..contracts.values import MAX_SAFE_INTEGER, printable
from .guards import BUILT_IN

MAX_LENGTH = 500
MAX_DEPTH = 8
_HOW = "Write a guard's name, a call such as amount_at_most(100), or all_of(...), any_of(...), not_(...) of these."
_WORDS = {"true": True, "false": False}
_COMBINED = ("all_of", "any_of")


def read_guard(text: str) -> Guard:
    """The guard that `text` says. Raises `FlowError` with what stands there and what may."""
    if len(text) > MAX_LENGTH:
        raise FlowError(
            f"The guard is {len(text)} characters long; {MAX_LENGTH} is the most.",
            fix="Declare one guard in code that says it in a sentence.",
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a string is ours to judge, not Python's
            tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FlowError(f"The guard {printable(text, 80)!r} cannot be read.", fix=_HOW) from error
    return _guard(tree, 0)


def _guard(node: ast.expr, depth: int) -> Guard:
    if depth > MAX_DEPTH:
        raise FlowError(
            f"The guard is nested deeper than {MAX_DEPTH} levels.",
            fix="Declare one guard in code that says it in a sentence.",
        )
    match node:
        case ast.Name(id="otherwise") if depth == 0:
            return otherwise
        case ast.Name(id="otherwise"):
            raise FlowError("'otherwise' stands inside another guard.", fix="It may only stand alone, in the last row.")
        case ast.Name(id="in_digression"):
            return in_digression
        case ast.Name(id=("all_of" | "any_of" | "not_") as word):
            raise FlowError(f"{word} combines nothing.", fix=f"Write {word}(...) with guards in it.")
        case ast.Name(id=name):
            return _call(name, ())
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _called(name, arguments, depth)
        case ast.Call(func=ast.Name(id=name)):
            raise FlowError(f"{name!r} was given a named argument.", fix="Give the values alone, in their order.")
        case ast.BoolOp(op=ast.And()):
            raise FlowError("'and' cannot join guards.", fix="Write all_of(first, second).")
        case ast.BoolOp():
            raise FlowError("'or' cannot join guards.", fix="Write any_of(first, second).")
        case ast.UnaryOp(op=ast.Not()):
            raise FlowError("'not' cannot turn a guard round.", fix="Write not_(guard).")
        case _:
            raise FlowError(f"{printable(_source(node), 60)!r} is not a guard.", fix=_HOW)


def _called(name: str, arguments: list[ast.expr], depth: int) -> Guard:
    if name in _COMBINED:
        if not arguments:
            raise FlowError(f"{name}() combines nothing.", fix="Give it at least one guard.")
        parts = tuple(_guard(one, depth + 1) for one in arguments)
        return Guard(op="all_of" if name == "all_of" else "any_of", parts=parts)
    if name == "not_":
        if len(arguments) != 1:
            raise FlowError(f"not_() takes exactly one guard, not {len(arguments)}.", fix="Write not_(guard).")
        return Guard(op="not", parts=(_guard(arguments[0], depth + 1),))
    if name in ("otherwise", "in_digression"):
        raise FlowError(f"{name!r} takes no arguments.", fix=f"Write {name} without brackets.")
    return _call(name, tuple(_literal(one, names=name in BUILT_IN) for one in arguments))


def _call(name: str, arguments: tuple[bool | int | str, ...]) -> Guard:
    if not name.isascii():
        raise FlowError(f"{printable(name)!r} is not a guard's name.", fix="Guards are named in ASCII letters.")
    return Guard(name=name, arguments=arguments)


def _literal(node: ast.expr, *, names: bool) -> bool | int | str:
    match node:
        case ast.Constant(value=bool() | str() as value):
            return value
        case ast.Constant(value=int() as value) if value <= MAX_SAFE_INTEGER:
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() as value)) if (
            not isinstance(value, bool) and value <= MAX_SAFE_INTEGER
        ):
            return -value
        case ast.Name(id=word) if word in _WORDS:
            return _WORDS[word]
        case ast.Name(id=word) if names:
            return word
        case ast.Name(id=word):
            raise FlowError(f"The argument {word!r} is a bare word.", fix=f"Write it in quotes: '{word}'.")
        case _:
            raise FlowError(
                f"The argument {printable(_source(node), 60)!r} is no whole number, quoted word or true/false.",
                fix="Write amounts as whole numbers, anything else in quotes.",
            )


def _source(node: ast.expr) -> str:
    try:
        return ast.unparse(node)
    except (RecursionError, ValueError, MemoryError):
        return type(node).__name__
