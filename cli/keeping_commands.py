"""The commands that keep a log as the law asks, as they are called: their arguments and help."""

from pathlib import Path
from typing import Annotated

import typer

from .failing import Command, Commands
from .options import Db, Json

Who = Annotated[
    str,
    typer.Option(
        "--as", metavar="NAME", envvar="INTERLOCK_USER", help="Who acts: a pseudonym; it stands in the log.",
        show_default="the system's user",
    ),
]  # fmt: skip
Ground = Annotated[
    str, typer.Option("--ground", metavar="TEXT", help="Why: the number of a request or a case. No personal data.")
]
Subject = Annotated[str, typer.Option("--subject", metavar="SUBJECT", help="The person's pseudonym in the log.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]

keys = typer.Typer(cls=Commands, help="The keys that texts are encrypted under.", no_args_is_help=True)

approvers = typer.Typer(cls=Commands, help="People who sign what they approve.", no_args_is_help=True)


def erase(
    subject: Subject,
    who: Who = "",
    ground: Ground = "",
    approve: Annotated[bool, typer.Option("--approve", help="Approve what somebody else asked for.")] = False,
    approvals: Annotated[
        int,
        typer.Option(
            "--approvals",
            min=1,
            max=9,
            envvar="INTERLOCK_ERASE_APPROVALS",
            metavar="N",
            help="How many different people must approve, who asks included.",
        ),
    ] = 1,
    dry_run: DryRun = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Erase what a person wrote, and the keys of it, for good; what was decided stays, and stays provable.

    Goes on where a crash has stopped it. A hold stands against it. Exits with 1 where others must approve first.
    """  # fmt: skip
    from .keeping import erase as run

    _end(run(db, subject, who, ground, approve=approve, approvals=approvals, dry_run=dry_run, as_json=json))


def hold(
    subject: Annotated[str, typer.Option("--subject", metavar="SUBJECT", help="Hold everything of this person.")] = "",
    conversation: Annotated[
        str, typer.Option("--conversation", metavar="CONVERSATION", help="Hold this one: the beginning of its id.")
    ] = "",
    release: Annotated[
        int | None, typer.Option("--release", metavar="NUMBER", min=0, help="End the hold of this number.")
    ] = None,
    who: Who = "",
    ground: Ground = "",
    db: Db = None,
    json: Json = False,
) -> None:
    """Keep a person's or a conversation's texts from erasure and retention; without an option, list the holds."""
    from .keeping import hold as run

    run(db, subject, conversation, release, who, ground, as_json=json)


def retain(
    policy: Annotated[Path, typer.Option("--policy", metavar="FILE", help="The rules (YAML): how long what is kept.")],
    who: Who = "",
    ground: Ground = "",
    dry_run: DryRun = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Delete texts of ended conversations whose time is over, as a policy says; holds stand above it."""
    from .keeping import retain as run

    run(db, policy, who, ground, dry_run=dry_run, as_json=json)


def access(
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="List at most so many.")] = 50,
    db: Db = None,
    json: Json = False,
) -> None:
    """List what people did to the log itself: who read texts, erased, held, pruned or changed keys, and why."""
    from .keeping import access as run

    run(db, limit, as_json=json)


@keys.command(cls=Command, name="show")
def keys_show(db: Db = None, json: Json = False) -> None:
    """Say which master keys there are, how many data keys, and how many texts still lie in clear."""
    from .keeping import show_keys

    _end(show_keys(db, as_json=json))


@keys.command(cls=Command, name="encrypt")
def keys_encrypt(who: Who = "", db: Db = None, json: Json = False) -> None:
    """Encrypt every text that an earlier release, or a store in clear, has written."""
    from .keeping import encrypt

    encrypt(db, who, as_json=json)


@keys.command(cls=Command, name="rotate")
def keys_rotate(who: Who = "", db: Db = None, json: Json = False) -> None:
    """Make a new master key, wrap every data key by it, and forget the old one. The log stays in use."""
    from .keeping import rotate

    rotate(db, who, as_json=json)


@approvers.command(cls=Command, name="new")
def approver_new(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="A pseudonym of the person, however many accounts.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Where the private key goes: a new file.")],
    account: Annotated[
        list[str] | None, typer.Option("--account", metavar="NAME", help="Another name the person decides under.")
    ] = None,
    who: Who = "",
    ground: Ground = "",
    db: Db = None,
    json: Json = False,
) -> None:
    """Make a key (Ed25519) for a person who approves, and record that they sign with it from now on."""
    from .approving import new

    new(db, person, key, account or [], who, ground, as_json=json)


@approvers.command(cls=Command, name="revoke")
def approver_revoke(
    person: Annotated[str, typer.Argument(metavar="PERSON")],
    who: Who = "",
    ground: Ground = "",
    db: Db = None,
    json: Json = False,
) -> None:
    """Record that the person's key counts no more from now on; what it signed before still verifies."""
    from .approving import revoke

    revoke(db, person, who, ground, as_json=json)


@approvers.command(cls=Command, name="list")
def approver_list(db: Db = None, json: Json = False) -> None:
    """List who signs, and with which key."""
    from .approving import listing

    listing(db, as_json=json)


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
