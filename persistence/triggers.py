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
    "archived_refuses_change": "054136cb080876e0a08759fb00ba5ae6",
    "archived_refuses_truncate": "27e596ae29a1d499253c6c670c0b9503",
    "archived_refuses_unrecorded": "5fd6fce05566f7b1376945be6ba9236a",
    "checkpoint_refuses_change": "c37d987031021bba0a50d197bf9a8882",
    "checkpoint_refuses_truncate": "054f6f36b5d3b15076493a2d03995fa8",
    "event_refuses_archived": "9adc198da0d7cdf863992c2b15ef612a",
    "event_refuses_change": "244a35b58cae6ec773ba7e878b291373",
    "event_refuses_gap": "052914bf49d1c3350f1f39ef1953282e",
    "event_refuses_truncate": "3bd102fa791104d912a536c8f120efdb",
    "event_waits": "b9b838e08a5b58277206f43d0f225309",
    "flow_refuses_change": "b39af92e762d797fbc13820ad2b5b7b0",
    "flow_refuses_truncate": "340a008a5940b41af03588c31a7bf261",
    "leaf_placed": "e46505db2d84704fe67caf2df6cba618",
    "leaf_refuses_change": "f393610288094524405de710b5d4e14e",
    "leaf_refuses_gap": "dd78bb3906e47054738c054ae48316fe",
    "leaf_refuses_truncate": "5e0e503e83973a54cd23d82a1a776f5c",
    "meta_refuses_change": "fe544c9282b40eb9e55c677faef10380",
    "meta_refuses_truncate": "a4ae5cd103f03fdc7d555d9befa615c3",
    "record_refuses_change": "0425104e406b29bbf054e37aacdfef02",
    "record_refuses_gap": "9a3d0fb214a2382aa090aff3dae8ebe8",
    "record_refuses_others": "9a8bb09128a23315e321a5f440ba98c9",
    "record_refuses_truncate": "f142bdde0e06ce615fd06c00f8cf421b",
}


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
