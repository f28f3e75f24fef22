"""What the triggers do that keep a log append-only, as the migrations wrote them: one that does another thing is found.

A digest of each trigger, by its name: on SQLite of its text, on PostgreSQL of when it fires and of its function's body.
Whoever may change the schema can replace a trigger by one that does nothing, and its name would still stand there.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from .tables import METADATA

ON_SQLITE: Mapping[str, str] = {
    "archived_refuses_delete": "329f6324bea9e06ac48d06ebc0f1935a",
    "archived_refuses_replace": "04617f7c9fafddd68c836519f5c25f0d",
    "archived_refuses_unrecorded": "6c9ae4abe1e25ee3fa1f35d6100dad75",
    "archived_refuses_update": "33c4edcb951b0bf9cb1697500f3696c0",
    "checkpoint_refuses_delete": "70b7efa89c563a256d2ab1eb4fa4d147",
    "checkpoint_refuses_replace": "73ec6c110ad8751d25b455a7ba955ab0",
    "checkpoint_refuses_update": "2a955e2f7727b7c3b3aa0b3b77e416b5",
    "event_refuses_archived": "efb0495b6168eb60cad85be8d841c4c5",
    "event_refuses_delete": "d7f27529a8c72759d2394a7a20a147d8",
    "event_refuses_gap": "6afff65ddb0d2ede7f518051e16c8f0e",
    "event_refuses_replace": "24286b628886edd37820f600cc6f3730",
    "event_refuses_update": "bbb2811a303413452fb0567a84cb7284",
    "flow_refuses_delete": "e8700ab00706b75b9b409983f9c384fd",
    "flow_refuses_replace": "c12568461fe893e690578fc94ae7c378",
    "flow_refuses_update": "07c6551d1d643136ebfe8cf4a8f831e8",
    "leaf_refuses_delete": "b514bbd76d2cab9a4eb5b48f3794d2c8",
    "leaf_refuses_gap": "d27d0490814a60e7380593f347ee6358",
    "leaf_refuses_replace": "a4818c27589267fad61ed2f43e1b37a6",
    "leaf_refuses_update": "4044546dc1ab5044a11d8edf54e182e2",
    "meta_refuses_delete": "9808b508e5b2e8b42baa4bad302e945e",
    "meta_refuses_replace": "fe625bfeb191d5be828aefa3d6af1cbe",
    "meta_refuses_update": "eb097567c8023f6b7ba63d382b343135",
    "record_refuses_delete": "fe8893d65da48a309cc711b45f0085e4",
    "record_refuses_gap": "5dea3a47c306882b568901d278366246",
    "record_refuses_replace": "6a29e6b9de4443f911f0f6be765b6dfb",
    "record_refuses_update": "ab803738c8415bf595234dc34a73f115",
}

ON_POSTGRES: Mapping[str, str] = {
    "archived_refuses_change": "de9105c73e7d2e1c618d06f5f20b3126",
    "archived_refuses_truncate": "1d6bcb9be052a7fa6e93267d97e0b61b",
    "archived_refuses_unrecorded": "0acb09fe90e568f69ad67662d51050d5",
    "checkpoint_refuses_change": "ff6a275b7e6a451f775d3592235ef3fe",
    "checkpoint_refuses_truncate": "608f17a2d5ce45d3fce98fc90367c507",
    "event_refuses_archived": "f215df9a337be627a8e954cbb2803acd",
    "event_refuses_change": "119db106a0fe2a2af721fa061bbeccf9",
    "event_refuses_gap": "e2ccec8b889457e391fa5812f10e9891",
    "event_refuses_truncate": "a93bc5e1e864669e7bae8f7fa163e9ed",
    "event_waits": "41aef24a01f9c1e652f7298489a652b9",
    "flow_refuses_change": "9d0c85465916a679d0fae97fd0eb343c",
    "flow_refuses_truncate": "e39d3b12443f70c271833ded4866d13f",
    "leaf_placed": "2defdb4812a884a701e4067e91c6836f",
    "leaf_refuses_change": "fdfa7c1b4f8283b3477f2d9bda59a8d8",
    "leaf_refuses_gap": "a702aba7beb843560850d1036708c6fe",
    "leaf_refuses_truncate": "1211fc18dfaed453f15d2fc53c3b6324",
    "meta_refuses_change": "34ec44b985497c456873b2c3c76d765e",
    "meta_refuses_truncate": "95ea3be2b0913e1969ee86e70319724a",
    "record_refuses_change": "323650a26e3a209f48715e6dad8afc2e",
    "record_refuses_gap": "04deb9857db988a1168811e3fa7a74fe",
    "record_refuses_others": "4bbf8e3029c3c072f4023cc2c3086ff6",
    "record_refuses_truncate": "4b80d5ac451463f1e0af81e4aaf99f2e",
}
SCRUB = "1e584d80c906cd466c7fbd74d9479d8b"
"""What the function does by which erased texts leave PostgreSQL's files."""


@dataclass(frozen=True, slots=True)
class Guards:
    """The triggers of a database beside those that belong there. `foreign` are others, on the log's tables."""

    present: tuple[str, ...]
    missing: tuple[str, ...]
    altered: tuple[str, ...]
    foreign: tuple[str, ...]


TABLES = frozenset({*METADATA.tables, "pending", "alembic_version"})
"""The log's own, on either database."""
_OURS = re.compile(rf"\b({'|'.join(sorted(TABLES))})\b", re.IGNORECASE)


def concerns_ours(table: str, text: str) -> bool:
    """Whether a trigger on `table` that says this fires on a table of the log, or may write one."""
    return table in TABLES or _OURS.search(text) is not None


def guards(expected: Mapping[str, str], found: Mapping[str, str]) -> Guards:
    """`found` is what each trigger of the log's tables says, by its name."""
    ours = {name: digest_of(text) for name, text in found.items() if name in expected}
    return Guards(
        present=tuple(sorted(ours)),
        missing=tuple(sorted(expected.keys() - ours.keys())),
        altered=tuple(sorted(name for name, digest in ours.items() if digest != expected[name])),
        foreign=tuple(sorted(found.keys() - ours.keys())),
    )


def digest_of(text: str) -> str:
    """Of a trigger's text, however it is spaced."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:32]
