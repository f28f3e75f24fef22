"""How a command ends when something is wrong: what, where, and the fix; never a traceback.

0 fine, 1 the thing asked about does not hold, 2 the call was wrong, 70 a fault of Interlock itself,
130 stopped with Ctrl-C, 141 whoever read the output went away before all of it was said: no verdict.
"""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from ..contracts.errors import CallError, FlowError, InterlockError, SetupError

HOLDS_NOT, WRONG_CALL, BUG, STOPPED, UNHEARD = 1, 2, 70, 130, 141


class Command(TyperCommand):
    """A command whose help shows no type behind a flag."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _flags_bare(super().get_params(ctx))


def _flags_bare(params: Sequence[Any]) -> list[Any]:
    for one in params:
        if getattr(one, "is_flag", False):
            one.metavar = ""
    return list(params)


class Commands(TyperGroup):
    """The command group, with every error translated at its edge."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _flags_bare(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta["interlock.json"] = "--json" in args
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        as_json = bool(ctx.meta.get("interlock.json"))
        try:
            return super().invoke(ctx)
        except InterlockError as error:
            _show(error, as_json)
            raise typer.Exit(exit_code_of(error)) from error
        except KeyboardInterrupt:
            sys.stderr.write("\nStopped.\n")
            raise typer.Exit(STOPPED) from None
        except (typer.Exit, typer.Abort, EOFError):
            raise
        except BrokenPipeError:
            _let_go_of_stdout()
            raise typer.Exit(UNHEARD) from None
        except Exception as error:
            if hasattr(error, "format_message"):  # a wrong call: Typer's own errors have a message for it
                if as_json:
                    _write(error_document("usage", error.format_message(), "", f"{ctx.info_name} --help"))
                    raise typer.Exit(WRONG_CALL) from error
                raise
            raise typer.Exit(_unknown(error, as_json)) from error


def exit_code_of(error: InterlockError) -> int:
    """2 where the call must be mended, 1 where the flow or the log does not hold."""
    return WRONG_CALL if isinstance(error, CallError | SetupError) else HOLDS_NOT


def error_document(code: str, what: str, where: str, fix: str, faults: Sequence[Any] = ()) -> dict[str, Any]:
    """`{"error": {...}}`: what a command prints with --json when it could not do what was asked."""
    return {
        "error": {
            "code": code,
            "what": what,
            "where": where,
            "fix": fix,
            "faults": [
                {"code": one.code, "line": one.line, "what": one.what, "fix": one.fix, "where": one.where}
                for one in faults
            ],
        }
    }


def show_faults(terminal: Any, faults: Sequence[Any]) -> None:
    """Every fault with its line and its remedy."""
    for fault in faults:
        place = f"line {fault.line}" if fault.line else fault.where or "the flow"
        terminal.hang(terminal.text((f"{place:>9}", "bold"), ("  " + fault.code, "red")), fault.what, indent=1)
        terminal.hang(terminal.text((" " * 9 + "   fix ", "dim")), fault.fix, indent=1, style="green")


def _show(error: InterlockError, as_json: bool) -> None:
    faults = error.faults if isinstance(error, FlowError) else ()
    if as_json:
        _write(error_document(error.code, error.what, error.where, error.fix, faults))
        return
    from .terminal import Terminal, safe

    terminal = Terminal(error=True)
    terminal.hang(terminal.text(("error", "bold red")), (safe(error.what), "bold"))
    if error.where:
        terminal.hang(terminal.text(("where", "dim")), safe(error.where))
    if error.fix:
        terminal.hang(terminal.text(("  fix", "green")), safe(error.fix))
    show_faults(terminal, faults)


def _unknown(error: Exception, as_json: bool) -> int:
    """A fault of ours: one line, and how to see more."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    fix = "This is a bug in Interlock. Set INTERLOCK_TRACEBACK=1 to see where, and please report it."
    if as_json:
        _write(error_document("bug", said, "", fix))
    else:
        sys.stderr.write(f"bug    {said}\n  fix  {fix}\n")
    if os.environ.get("INTERLOCK_TRACEBACK") == "1":
        traceback.print_exception(error)
    return BUG


def _write(document: dict[str, Any]) -> None:
    from .terminal import write_json

    write_json(document)


def _let_go_of_stdout() -> None:
    """Whoever read our output has gone; Python must not complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
