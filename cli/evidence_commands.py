"""The commands that let an outsider trust the log, as they are called. What they do loads when they run."""

from pathlib import Path
from typing import Annotated

import typer

from ..contracts.errors import CallError
from .failing import Command, Commands
from .options import Conversation, Db, FlowOption, Json, OneOrAll

KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--key", metavar="FILE", envvar="INTERLOCK_SIGNING_KEY", show_default="LOG.signing-key", help="The signing key."
    ),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        envvar="INTERLOCK_POLICY",
        show_default="LOG.policy",
        help="Logs, witnesses and the quorum (c2sp.org/tlog-policy).",
    ),
]

MlDsa = Annotated[
    bool,
    typer.Option("--ml-dsa", help="Sign with ML-DSA-44 beside Ed25519: nobody can forge both, with whatever computer."),
]
VKeys = Annotated[
    list[str] | None,
    typer.Option("--vkey", metavar="VKEY", help="The log's public key, or a file with it; may be repeated."),
]
Heads = Annotated[
    list[Path] | None,
    typer.Option("--head", metavar="FILE", help="A checkpoint that you got elsewhere; may be repeated."),
]
Anchors = Annotated[
    list[str] | None,
    typer.Option("--anchors", metavar="PLACE", help="A folder or object store (s3://...) that has copied checkpoints."),
]

Receipts = Annotated[
    list[Path] | None,
    typer.Option("--receipt", metavar="FILE", help="A receipt that the log gave you; may be repeated."),
]

Archives = Annotated[
    list[Path] | None,
    typer.Option("--archive", metavar="PATH", help="Look at this archive of what was pruned, too; repeatable."),
]
PageOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Of a bundle: write a page for people from what was checked."),
]
Require = Annotated[
    str, typer.Option("--require", metavar="LEVEL", help="Of a bundle: exit with 0 for it, and what is stronger.")
]
TsaCa = Annotated[
    Path | None,
    typer.Option("--tsa-ca", metavar="FILE", help="Of a bundle: certificates of the time-stamping authority."),
]
NotBefore = Annotated[
    str, typer.Option("--not-before", metavar="TIME", help="Of a bundle: count only witnesses that saw it later.")
]

keys = typer.Typer(cls=Commands, name="key", help="The key that signs the log's checkpoints.", no_args_is_help=True)
witnessing = typer.Typer(
    cls=Commands, name="witness", help="Be a witness to other logs (c2sp.org/tlog-witness).", no_args_is_help=True
)


def verify(
    conversation: OneOrAll = "",
    db: Db = None,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="PATH", help="Check an exported bundle instead of a log.")
    ] = None,
    vkeys: VKeys = None,
    policy: PolicyOption = None,
    heads: Heads = None,
    anchors: Anchors = None,
    receipts: Receipts = None,
    archives: Archives = None,
    report: PageOption = None,
    require: Require = "",
    tsa_ca: TsaCa = None,
    not_before: NotBefore = "",
    json: Json = False,
) -> None:
    """Check every entry, chain, column, commitment, the tree and what was signed; name the first broken position.

    Says how far others vouch for it: NOT SIGNED, SELF-ATTESTED, ANCHORED (--head, --anchors) or WITNESSED(k of n)
    (--policy), the weakest over all entries. With --bundle, the exit code is that of `verify_bundle.py`, and
    CONVERSATION, in full, must be in it.
    """
    of_a_bundle = {"report": report, "require": require, "tsa-ca": tsa_ca, "not-before": not_before}
    if bundle is not None:
        from .bundling import check

        if archives:
            raise CallError("--archive is of a log.", fix="Check an archive alone: `verify --bundle ARCHIVE`.")
        several = {"key": vkeys, "head": heads, "anchors": anchors, "receipt": receipts}
        alone = {"policy": policy, "conversation": conversation, **of_a_bundle}
        options = {name: values or () for name, values in several.items()}
        _end(check(bundle, options | {name: [one] for name, one in alone.items() if one}, as_json=json))
        return
    if strange := [name for name, value in of_a_bundle.items() if value]:
        raise CallError(f"--{strange[0]} is of a bundle.", fix="Name the bundle with --bundle PATH, or leave it out.")
    from .proof import Brought
    from .proof import verify as run

    brought = Brought(
        vkeys=tuple(vkeys or ()),
        policy=policy,
        heads=tuple(heads or ()),
        anchors=tuple(anchors or ()),
        receipts=tuple(receipts or ()),
        archives=tuple(archives or ()),
    )
    _end(run(db, conversation, json, brought))


def export(
    conversations: Annotated[
        list[str] | None, typer.Argument(metavar="CONVERSATION", help="The beginnings of their ids.")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="PATH", help="Write a bundle: a new folder, or a zip file (.zip)."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Of a bundle: every conversation, and the whole tree.")] = False,
    disclose: Annotated[
        list[str] | None,
        typer.Option(
            "--disclose",
            metavar="TEXTS",
            help="Of a bundle: `all`, `none`, or a text's name or class (message, reply, fact, fact_NAME, arguments, "
            "result, reason), also of one conversation or event (CONVERSATION:TEXT, CONVERSATION/EVENT:TEXT); may be "
            "repeated. The others are proved to exist. \\[default: all]",
        ),
    ] = None,
    since: Annotated[
        list[Path] | None,
        typer.Option("--since", metavar="FILE", help="Of a bundle: show that the log extends this checkpoint."),
    ] = None,
    form: Annotated[str, typer.Option("--as", metavar="FORM", help="`pytest`: a test that plays it again.")] = "pytest",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write it here. \\[default: print it]")
    ] = None,
    flow: FlowOption = "",
    key: KeyOption = None,
    policy: PolicyOption = None,
    db: Db = None,
    json: Json = False,
) -> None:
    """Write conversations as evidence (--bundle), or one of them as a test (--as pytest): given, when, then.

    A bundle holds what somebody who does not trust you needs: entries, proofs, signatures, flows, disclosed texts, a
    readable report, and the file that checks it all. A test passes as it is written, and fails when the flow or its
    code decides something else; what people and models said stands in it in full.
    """
    if bundle is not None:
        from .bundling import bundle as run_bundle

        _end(
            run_bundle(
                db,
                conversations or [],
                every=every,
                path=bundle,
                disclose=disclose or [],
                since=since or [],
                key=key,
                policy=policy,
                as_json=json,
            )
        )
        return
    from .exporting import export as run

    if every or len(conversations or []) != 1:
        raise CallError("A test is of one conversation.", fix="Give the beginning of its id, or --bundle PATH.")
    run(db, (conversations or [""])[0], form, out, flow)


def checkpoint(
    db: Db = None,
    key: KeyOption = None,
    policy: PolicyOption = None,
    anchors: Annotated[
        list[str] | None,
        typer.Option("--anchor", metavar="PLACE", help="Copy it to a folder or object store (s3://...); repeatable."),
    ] = None,
    authorities: Annotated[
        list[str] | None, typer.Option("--tsa", metavar="URL", help="Have it time-stamped there (RFC 3161).")
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Go on until Ctrl-C or SIGTERM: after every 1,000 entries, and after 60 s; a line for each."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Give every entry its place in the Merkle tree and sign the tree's head.

    Witnesses of the policy that have a URL are asked to sign it too. A log that does not extend what was signed last,
    such as an old backup, is refused.
    """
    from .evidence import checkpoint as run

    _end(run(db, key, policy, anchors or [], authorities or [], watch=watch, as_json=json))


def receipt(
    conversation: Conversation,
    version: Annotated[
        int | None, typer.Argument(metavar="VERSION", min=0, help="Of which event. Left out: the last.")
    ] = None,
    db: Db = None,
    key: KeyOption = None,
) -> None:
    """Print a signed receipt: the log's promise that this event is in it."""
    from .evidence import receipt as run

    run(db, key, conversation, version)


@keys.command("new", cls=Command)
def key_new(db: Db = None, key: KeyOption = None, ml_dsa: MlDsa = False, json: Json = False) -> None:
    """Make the log's signing key, in a file that you alone may read, and print its public half."""
    from .evidence import key_new as run

    run(db, key, ml_dsa=ml_dsa, as_json=json)


@keys.command("show", cls=Command)
def key_show(db: Db = None, key: KeyOption = None, json: Json = False) -> None:
    """Print the public half of the log's key: what auditors and witnesses are given."""
    from .evidence import key_show as run

    run(db, key, json)


@keys.command("rotate", cls=Command)
def key_rotate(
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Where the new key is to be made.")],
    db: Db = None,
    key: KeyOption = None,
    ml_dsa: MlDsa = False,
    json: Json = False,
) -> None:
    """Change to a new key: a record in the log and a checkpoint over it, signed by the old key and the new."""
    from .evidence import key_rotate as run

    run(db, key, to, ml_dsa=ml_dsa, as_json=json)


@witnessing.command("key", cls=Command)
def witness_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The witness's name, such as witness.example/w1.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Where the key is to be made.")],
    ml_dsa: Annotated[bool, typer.Option("--ml-dsa", help="Of ML-DSA-44 in the place of Ed25519.")] = False,
    json: Json = False,
) -> None:
    """Make a witness's key, and print its public half."""
    from .evidence import witness_key as run

    run(name, key, ml_dsa=ml_dsa, as_json=json)


@witnessing.command("serve", cls=Command)
def witness_serve(
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The witness's key.")],
    logs: Annotated[list[str], typer.Option("--log", metavar="VKEY", help="A log it knows; may be repeated.")],
    folder: Annotated[Path, typer.Option("--folder", metavar="FOLDER", help="Keeps what it saw of each log.")],
    host: Annotated[str, typer.Option("--host", help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8087,
) -> None:
    """Serve as a witness, until Ctrl-C: it signs a log's checkpoint if that extends what it saw of the log before."""
    from .evidence import witness_serve as run

    run(key, logs, folder, host, port)


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
