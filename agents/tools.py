"""Tools: an annotated Python function becomes a declared tool, and runs only where the state allows it."""

import inspect
import typing
from collections.abc import Callable
from typing import Annotated, Any, overload

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError

from ..contracts.agents import ToolOffer
from ..contracts.canonical import sha256_hex
from ..contracts.consulting import ASK_SCHEMA, description, tool_name
from ..contracts.errors import FlowError
from ..contracts.flow import AgentSpec
from ..contracts.tools import Tool, ToolContext, ToolSpec
from ..contracts.values import listed
from .contract import fitted
from .strict_json import read_json, written
from .tool_run import ToolRun, context_parameter, run_tool

__all__ = ["ToolRun", "check_arguments", "check_task", "offer", "offer_agent", "run_tool", "tool"]

_NAME = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")


class _Named(BaseModel):
    name: Annotated[str, _NAME]


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...


@overload
def tool(
    *,
    consequential: bool = False,
    version: int = 1,
    timeout_seconds: int = 30,
    says: str = "",
    keyed: bool = True,
    name: str = "",
    sanitises: bool = False,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    consequential: bool = False,
    version: int = 1,
    timeout_seconds: int = 30,
    says: str = "",
    keyed: bool = True,
    name: str = "",
    sanitises: bool = False,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Declare a function, sync or async, as a tool: `@tool` or `@tool(consequential=True, ...)`.

    Every parameter is annotated; one annotated `ToolContext` is filled in by the runtime and never seen by a
    model. A tool that changes something outside says `consequential=True` and must take the `ToolContext`,
    because only its idempotency key makes two calls one. `keyed=False` says that the system behind it ignores
    the key, so that a crash leaves the call to a person. `sanitises=True` says that what a person or a model wrote may
    reach a tool that changes something once a state has called this one. `says` defaults to the docstring's first line.
    Raises `FlowError` for a function that cannot be a tool.
    """

    def declare(declared: Callable[..., Any]) -> Tool:
        own_name = name or getattr(declared, "__name__", "?")
        arguments, context_parameter = _arguments(declared, own_name)
        if consequential and not context_parameter:
            raise FlowError(
                f"The tool {own_name!r} is consequential and takes no idempotency key: called twice, it acts twice.",
                where=_place(declared),
                fix="Add a parameter `context: ToolContext` and send `context.idempotency_key` along.",
            )
        schema = written(arguments.model_json_schema()).encode()
        spec = ToolSpec(
            name=own_name,
            version=version,
            says=says or _first_line(declared),
            consequential=consequential,
            keyed=keyed,
            timeout_seconds=timeout_seconds,
            arguments=sha256_hex(schema),
            argument_bytes=len(schema),
            sanitises=sanitises,
        )
        return Tool(spec=spec, arguments=arguments, function=declared, takes_context=bool(context_parameter))

    return declare if function is None else declare(function)


def offer(declared: Tool) -> ToolOffer:
    """What a model is told of the tool: its name, what it does, and its arguments as a JSON Schema object."""
    return ToolOffer(declared.name, declared.spec.says, declared.arguments.model_json_schema())


def check_arguments(declared: Tool, text: str) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The arguments in `text` as JSON data with defaults filled in, or None and the problems.

    `text` is what a model proposed. Problems are safe for the log, as contract violations are. Blank text
    counts as no arguments: models send it for a tool that takes none. Never raises.
    """
    reading = read_json(text if text.strip() else "{}", what="The argument text")
    if reading.problem:
        return None, (reading.problem,)
    result, data, problems = fitted(reading.value, declared.arguments, what="The argument text")
    return (None, problems) if result is None else (data, ())


def offer_agent(agent: AgentSpec) -> ToolOffer:
    """The same of an agent that may be asked as a tool."""
    return ToolOffer(tool_name(agent.name), description(agent), dict(ASK_SCHEMA))


class _Question(BaseModel):
    """The arguments of an agent that is asked as a tool, as `ASK_SCHEMA` says them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Annotated[str, Field(min_length=1)]


def check_task(text: str) -> tuple[str | None, tuple[str, ...]]:
    """The task in the arguments `text` that a model proposed, or None and the problems, safe for the log."""
    reading = read_json(text, what="The argument text")
    if reading.problem:
        return None, (reading.problem,)
    _, data, problems = fitted(reading.value, _Question, what="The argument text")
    task = data.get("task", "") if not problems else ""
    if not problems and not task.strip():
        problems = ("task: is empty.",)
    return (None, problems) if problems else (task, ())


def _arguments(function: Callable[..., Any], own_name: str) -> tuple[type[BaseModel], str]:
    where = _place(function)
    try:
        _Named(name=own_name)
        hints = typing.get_type_hints(function, include_extras=True)
        injected = context_parameter(function)
    except (NameError, TypeError, ValueError) as error:
        raise FlowError(
            f"The function {own_name!r} cannot be a tool: its name or its annotations cannot be read ({error}).",
            where=where,
            fix="Name it with ASCII letters, digits and underscores, and annotate with types that its module imports.",
        ) from error
    fields: dict[str, Any] = {}
    faults: list[str] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if name == injected:
            continue
        fault = _fault(name, parameter, hints)
        if fault:
            faults.append(fault)
        else:
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[name] = (hints[name], default)
    if faults:
        raise FlowError(
            f"The function {own_name!r} cannot be a tool: {'; '.join(faults)}.",
            where=where,
            fix="Give every parameter a name of its own and a type, as in `amount_cents: int`.",
        )
    return _model(own_name, fields, where), injected


def _fault(name: str, parameter: inspect.Parameter, hints: dict[str, Any]) -> str:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        return f"the parameter {str(parameter)!r} cannot be given by name"
    if name not in hints:
        return f"the parameter {name!r} has no type"
    if hints[name] is ToolContext:
        return f"the parameter {name!r} is a second ToolContext"
    if name.startswith("_") or hasattr(BaseModel, name):
        return f"the parameter {name!r} has a name that pydantic keeps for itself"
    return ""


def _model(own_name: str, fields: dict[str, Any], where: str) -> type[BaseModel]:
    config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
    try:
        model = create_model(f"{own_name}_arguments", __config__=config, **fields)
        model.model_json_schema()
    except (PydanticUserError, TypeError, NameError) as error:
        raise FlowError(
            f"The arguments of the tool {own_name!r} have no JSON Schema; the parameters are {listed(fields)}.",
            where=where,
            fix="Use types that JSON can write: str, int, bool, date, Decimal, Literal, lists, pydantic models.",
        ) from error
    return model


def _first_line(function: Callable[..., Any]) -> str:
    return (inspect.getdoc(function) or "").strip().partition("\n")[0]


def _place(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', '?')}"
