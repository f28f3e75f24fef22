"""The commands that keep a log as the law asks, as they are called: their arguments and help."""

from enum import StrEnum
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


class TextsIn(StrEnum):
    """How an archive holds texts."""

    sealed = "sealed"
    clear = "clear"


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


SigningKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key", metavar="FILE", envvar="INTERLOCK_SIGNING_KEY", show_default="LOG.signing-key", help="The signing key."
    ),
]
Witnesses = Annotated[
    Path | None,
    typer.Option(
        "--policy", metavar="FILE", envvar="INTERLOCK_POLICY", show_default="LOG.policy", help="Whose signatures count."
    ),
]


def archive(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A new folder, or a zip file (.zip).")],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What the log calls it.", show_default="that of the file")
    ] = "",
    before: Annotated[
        str, typer.Option("--before", metavar="DATE", help="Conversations that ended before it (2026-01-31).")
    ] = "",
    through: Annotated[
        int | None, typer.Option("--through", min=1, metavar="SIZE", help="Those within the tree's first SIZE leaves.")
    ] = None,
    texts: Annotated[
        TextsIn,
        typer.Option(
            "--texts",
            help="`sealed`: as they lie in the log, so that erasing a person reaches them. `clear`: readable by all.",
        ),
    ] = TextsIn.sealed,
    dry_run: DryRun = False,
    key: SigningKeyOption = None,
    policy: Witnesses = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Write conversations that have ended into an archive, which anybody can verify alone; says what has to stay.

    Nothing leaves the log: that is `interlock prune`. An archive is a bundle, with the texts still encrypted.
    """
    from .archiving import archive as run

    _end(
        run(
            db,
            path,
            name=name,
            before=before,
            through=through,
            in_clear=texts is TextsIn.clear,
            key=key,
            policy=policy,
            dry_run=dry_run,
            as_json=json,
        )
    )


def prune(
    path: Annotated[Path, typer.Option("--archive", metavar="PATH", help="What `interlock archive` wrote.")],
    least_days: Annotated[
        int, typer.Option("--least-days", min=0, metavar="N", help="How long ago they must have ended.")
    ] = 183,
    who: Who = "",
    ground: Ground = "",
    dry_run: DryRun = False,
    key: SigningKeyOption = None,
    policy: Witnesses = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Let the log go without the entries that an archive holds; their leaves stay, and every proof with them.

    The archive is verified first, and compared with the log. A hold stands against it. It is recorded and signed
    before anything goes, and a crash loses nothing: the same call goes on.
    """
    from .archiving import prune as run

    _end(
        run(
            db,
            path,
            least_days=least_days,
            key=key,
            policy=policy,
            who=who,
            ground=ground,
            dry_run=dry_run,
            as_json=json,
        )
    )


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
def keys_rotate(who: Who = "", ground: Ground = "", db: Db = None, json: Json = False) -> None:
    """Make a new master key, wrap every data key by it, and forget the old one. The log stays in use.

    Needs a --ground, which stands in the log."""
    from .keeping import rotate

    rotate(db, who, ground, as_json=json)


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
    """Record that the person's key counts no more from now on; what it signed before still verifies.

    Needs a --ground, which stands in the log.
    """
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
