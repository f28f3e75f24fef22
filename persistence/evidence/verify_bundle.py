#!/usr/bin/env python3
"""Checks a bundle of `interlock export --bundle` without Interlock: Python 3.9 or newer, `cryptography` if there.

    python verify_bundle.py BUNDLE --key 'log.example+1a2b3c4d+AQ...' --head head-i-was-given.checkpoint

BUNDLE is a folder or a zip file. Take this file from a place you trust, not from the bundle, and the key as well.

The verdict is the weakest of three, and its exit code tells which:

    0   WITNESSED(k of n)  the witnesses that your --policy names have seen this tree, so nobody was shown another
    10  ANCHORED           a checkpoint that you got elsewhere (--head, --anchors, --tsa-ca) is of this very tree
    20  SELF-ATTESTED      consistent, by the word of who holds the signing key
    1   BROKEN             something does not hold; every reason is printed
    3   NOT SHOWN          nothing is wrong, but the bundle does not hold what one of your checkpoints asks about, or
                           nothing that you brought says whose it is
    2   the call was wrong (a key, receipt or checkpoint of another log), the bundle cannot be read, or this Python is
        too old to check it

What you name vouches for the bundle, and nothing in it does: the log's key (--key, or a log line of your --policy), a
checkpoint that you got elsewhere (--head, --anchors), or a quorum of witnesses (--policy).

With --require LEVEL the exit code is 0 for that verdict and every stronger one.
"""

import argparse
import base64
import binascii
import gc
import hashlib
import hmac
import html
import json
import re
import stat
import struct
import sys
import time
import unicodedata
import urllib.parse
import zipfile
import zlib
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

if sys.version_info < (3, 9):  # noqa: UP036 (an older one would end with 1, which says BROKEN)
    sys.stderr.write("cannot check here: verify_bundle.py needs Python 3.9 or newer. Nothing was checked.\n")
    sys.exit(2)

CODES = {"WITNESSED": 0, "ANCHORED": 10, "SELF-ATTESTED": 20, "BROKEN": 1, "NOT SHOWN": 3}
WRONG_CALL = 2
RECEIPT, MANIFEST = "interlock receipt v1", "interlock bundle v1"
PRUNE = "interlock prune v1"
PRUNED_TEXT = "interlock pruned text v1"
ROTATION, ROTATION_OF_SEVERAL = "interlock key rotation v1", "interlock key rotation v2"
LENGTHS = {1: 32, 4: 32, 6: 1312}
"""The bytes of a public key, by its type: Ed25519, a witness's Ed25519, ML-DSA-44."""
ML_DSA, ML_DSA_TEXT = 6, b"\xffinterlock ml-dsa-44 text v1"
READ = {"agrees": "; report.html and report.csv say what the entries say", "none": "; it has no readable report",
        "missing": "; the readable report is MISSING",
        "differs": "; the readable report LIES", "not checked": "; the readable report was NOT CHECKED",
        "not looked at": "; the readable report was NOT CHECKED"}  # fmt: skip
APPROVAL = b"interlock approval v1\n"
REF = {"commit", "kind", "length", "name"}
MANIFEST_FIELDS = {"conversations", "disclosed", "files", "origin", "report", "root", "scope", "size"}
AHEAD = 300
"""Seconds by which a witness's clock may be ahead of the reader's."""
STAMPED = ("sha256", "sha384", "sha512", "sha3_256", "sha3_512")
"""What a time stamp's digest of a checkpoint may be made with."""
NO_FLOW = "0" * 64
"""Stands for the flow of a conversation that was imported: none led it."""
MOST_MAP_HASHES = 20_000_000
"""How many leaves of maps of heads are hashed at most; beyond it, only the last map is built again."""


class Bad(Exception):
    """One thing that does not hold."""


class NotTold(Bad):
    """An entry that has another shape than any entry of ours."""

    def __init__(self, stream, version, error) -> None:
        self.version = version
        super().__init__(f"{stream} version {version} cannot be told ({type(error).__name__}: {error})")


class WrongCall(Bad):
    """What was brought is of another log: that says nothing about the bundle."""


class NotShown(Exception):
    """The bundle does not hold what would answer."""


def sha256(data):
    return hashlib.sha256(data).digest()


def unbase64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Bad(f"{text[:60]!r} is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Bad(f"{text[:60]!r} is base64 in a second spelling")
    return data


def strict_json(data):
    """The value of RFC 8785 bytes; any other spelling, duplicate keys among them, is refused."""
    try:
        value = json.loads(data)
        again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise Bad("it is no JSON") from None
    if again != data:
        raise Bad("its JSON is not in RFC 8785 form")
    return value


def _only(value, fields, where, may_lack=frozenset()):
    """It has these fields; one more would be read by people and by nothing that checks."""
    if not fields - may_lack <= value.keys() <= fields:
        wrong = ", ".join(repr(one[:60]) for one in sorted(fields - may_lack - value.keys() | value.keys() - fields))
        raise Bad(f"{where} has other fields than it should: {wrong}")


def _once(pairs):
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _never(text):
    raise ValueError(f"{text} is no whole number")


ENTRY = json.JSONDecoder(object_pairs_hook=_once, parse_float=_never, parse_constant=_never)


def entry_value(data) -> Any:
    """What an entry says. Its bytes are bound by the tree; here no key may say two things, and no number be rounded."""
    try:
        return ENTRY.decode(data.decode())
    except (ValueError, RecursionError) as error:
        raise Bad(f"it cannot be read ({error})") from None


# -- Ed25519 (RFC 8032): `cryptography` if it is there, else the arithmetic of section 6 of the RFC -----------

P, Q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def _add(a, b):
    left, right = (a[1] - a[0]) * (b[1] - b[0]) % P, (a[1] + a[0]) * (b[1] + b[0]) % P
    t, z = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = right - left, z - t, z + t, right + left
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(scalar, point):
    found = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            found = _add(found, point)
        point, scalar = _add(point, point), scalar >> 1
    return found


def _point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_alone(public, signature, message):
    """The check without any library: slow, and the same."""
    if len(public) != 32 or len(signature) != 64:
        return False
    a, r, s = _point(public), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= Q:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % Q
    left, right = _times(s, BASE), _add(r, _times(k, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def ed25519(public, signature, message):
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return ed25519_alone(public, signature, message)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# -- ML-DSA-44 (FIPS 204), where `cryptography` has it ---------------------------------------------------------


def has_ml_dsa():
    try:
        from cryptography.hazmat.primitives.asymmetric import mldsa
    except ImportError:
        return False
    return hasattr(mldsa, "MLDSA44PublicKey")


def ml_dsa(public, signature, message):
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

    try:
        MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


# -- signed notes, keys, policies (C2SP) ---------------------------------------------------------------------


class Key:
    """A vkey: `name+hash+base64(type, public key)`. Type 1 signs a note's text, type 4 is a witness's; type 6 is
    ML-DSA-44, a log's or a witness's."""

    def __init__(self, text) -> None:
        self.text = text.strip()
        self.name, _, rest = self.text.partition("+")
        self.hash, _, encoded = rest.partition("+")
        raw = unbase64(encoded)
        if not self.name or not raw or LENGTHS.get(raw[0]) != len(raw) - 1:
            raise Bad(f"{text[:60]!r} is no verifier key")
        self.kind, self.public = raw[0], raw[1:]
        self.id = sha256(self.name.encode() + b"\n" + raw)[:4]
        if self.id.hex() != self.hash:
            raise Bad(f"the verifier key of {self.name!r} does not fit its hash")
        # Under a text that is no checkpoint, for which tlog-cosignature has no signature of ML-DSA-44.
        material = self.name.encode() + b"\n" + ML_DSA_TEXT + self.public
        self.text_id = sha256(material)[:4] if self.kind == ML_DSA else self.id

    def verifies(self, signature, message):
        if self.kind == ML_DSA:
            return has_ml_dsa() and ml_dsa(self.public, signature, message)
        return ed25519(self.public, signature, message)


def keys_of(text):
    """The keys of a file, one on a line: a log that signs with two algorithms has two."""
    return [Key(line) for line in text.split("\n") if line.strip()] or [Key(text)]


def tree_of(text):
    """(origin, size, root) of a checkpoint's text; None of another."""
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not lines[0] or not re.fullmatch(r"0|[1-9][0-9]{0,18}", lines[1]) or "" in lines:
        return None
    try:
        root = unbase64(lines[2])
    except Bad:
        return None
    return (lines[0], int(lines[1]), root) if len(root) == 32 else None


def cosigned_message(key, text, at):
    """What a cosignature is over (c2sp.org/tlog-cosignature); None where the text is no checkpoint."""
    if key.kind != ML_DSA:
        return f"cosignature/v1\ntime {at}\n{text}".encode()
    tree, name = tree_of(text), key.name.encode()
    if tree is None or max(len(name), len(tree[0].encode())) > 255:
        return None
    origin, size, root = tree
    parts = [b"subtree/v1\n\0", bytes([len(name)]), name, struct.pack(">Q", at)]
    return b"".join([*parts, bytes([len(origin.encode())]), origin.encode(), struct.pack(">QQ", 0, size), root])


class Note:
    """A text with signature lines behind a blank one."""

    def __init__(self, data):
        try:
            text, parted, lines = data.decode().rpartition("\n\n")
        except UnicodeDecodeError:
            raise Bad("it is no text") from None
        if not parted or not lines.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f]", text + lines):
            raise Bad("it is no signed note")
        self.text, self.signatures = text + "\n", []
        for line in lines[:-1].split("\n"):
            match = re.fullmatch(r"\u2014 ([^ ]+) ([^ ]+)", line)
            if not match:
                raise Bad(f"{line[:60]!r} is no signature line")
            raw = unbase64(match[2])
            self.signatures.append((match[1], raw[:4], raw[4:]))

    def signed_by(self, key):
        if key.kind == ML_DSA and tree_of(self.text):
            return self.cosigned_at(key) is not None
        message = self.text.encode()
        mine = [s for name, key_id, s in self.signatures if (name, key_id) == (key.name, key.text_id)]
        return key.kind != 4 and any(key.verifies(s, message) for s in mine)

    def cosigned_at(self, key):
        return next(iter(self.cosigned_times(key)), None)

    def cosigned_times(self, key):
        """Each time with which this witness has signed, in seconds since 1970; any number of 64 bits."""
        found = []
        for name, key_id, signature in self.signatures:
            if (name, key_id) == (key.name, key.id) and key.kind != 1 and len(signature) > 8:
                at = int.from_bytes(signature[:8], "big")
                message = cosigned_message(key, self.text, at)
                if message is not None and key.verifies(signature[8:], message):
                    found.append(at)
        return found


def vouched(note, keys):
    """Whether a key of every algorithm among these has signed: one that is forged does not suffice."""
    signed = [(key.kind, note.signed_by(key)) for key in keys]
    return bool(signed) and {kind for kind, good in signed if good} == {kind for kind, _ in signed}


class Checkpoint(Note):
    """A note that says: the log `origin` has `size` leaves, with this root."""

    def __init__(self, data) -> None:
        super().__init__(data)
        tree = tree_of(self.text)
        if tree is None:
            raise Bad("it is no checkpoint")
        self.origin, self.size, self.root = tree


class Policy:
    """A tlog-policy: logs, witnesses, groups and the quorum."""

    def __init__(self, text) -> None:
        self.logs, self.quorum = [], None
        self.witnesses: dict[str, Key] = {}
        self.groups: dict[str, tuple[int, list[str]]] = {}
        for line in text.split("\n"):
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] == "log" and len(words) in (2, 3):
                self.logs.append(Key(words[1]))
            elif words[0] == "witness" and len(words) in (3, 4) and words[1] not in self._names():
                key = Key(words[2])
                if key.kind == 1 or key.public in [one.public for one in self.witnesses.values()]:
                    raise Bad(f"witness {words[1]!r} has no key of its own")
                self.witnesses[words[1]] = key
            elif words[0] == "group" and len(words) > 3 and words[1] not in self._names():
                members, least = words[3:], {"all": len(words) - 3, "any": 1}.get(words[2], words[2])
                grouped = [one for _, others in self.groups.values() for one in others]
                if not set(members) <= self._names() or set(members) & set(grouped) or len({*members}) != len(members):
                    raise Bad(f"group {words[1]!r} has members that cannot be")
                if not str(least).isdecimal() or not 1 <= int(least) <= len(members):
                    raise Bad(f"group {words[1]!r} asks for {words[2]!r} of {len(members)}")
                self.groups[words[1]] = (int(least), members)
            elif words[0] == "quorum" and len(words) == 2 and self.quorum is None:
                if words[1] not in self._names() | {"none"}:
                    raise Bad(f"the quorum {words[1]!r} is not defined")
                self.quorum = words[1]
            else:
                raise Bad(f"the policy's line {line[:60]!r} cannot be read")
        if self.quorum is None:
            raise Bad("the policy has no quorum line")

    def _names(self):
        return {*self.witnesses, *self.groups}

    def met(self, seen, name=None):
        name = name or self.quorum
        if name in self.groups:
            least, members = self.groups[name]
            return sum(self.met(seen, one) for one in members) >= least
        return name in seen


# -- the tree (RFC 6962, RFC 9162) ---------------------------------------------------------------------------


def leaf_of(entry):
    return sha256(b"\x00" + entry)


def parent(left, right):
    return sha256(b"\x01" + left + right)


def included(leaf, index, size, proof, root):
    if not 0 <= index < size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = parent(p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = parent(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def consistent(first, second, proof, first_root, second_root):
    if first == second or first == 0:
        return not proof and (first_root == second_root if first else first_root == sha256(b""))
    path = list(proof) if first & (first - 1) else [first_root, *proof]
    return roots_of(first, second, path) == (first_root, second_root)


def roots_of(first, second, path):
    """The roots of both trees that a proof's hashes lead to; None where it has too few or too many."""
    if first > second or not path:
        return None
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            fr, sr = parent(c, fr), parent(c, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = parent(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return (fr, sr) if sn == 0 else None


def levels_of(leaves):
    """Every whole subtree's hash, level by level."""
    levels = [leaves]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([parent(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return levels


def root_at(levels, size):
    """The root of the first `size` leaves."""
    found = b""
    while size:
        level = (size & -size).bit_length() - 1
        node = levels[level][(size >> level) - 1]
        found = parent(node, found) if found else node
        size &= size - 1
    return found or sha256(b"")


# -- the map of heads ----------------------------------------------------------------------------------------


def map_leaf(stream, version, leaf):
    value = json.dumps(
        {"leaf": leaf.hex(), "stream": stream, "version": version},
        sort_keys=True, separators=(",", ":"), ensure_ascii=False,
    )  # fmt: skip
    key = sha256(stream.encode())
    return key, sha256(b"\x00" + key + value.encode())


def bit(key, depth):
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


def map_root(heads, depth=0):
    """(how many conversations, at most 2; hash) of the subtree that holds just these."""
    if len(heads) < 2:
        return (1, heads[0][1]) if heads else (0, sha256(b"\x02"))
    sides = ([], [])
    for one in heads:
        sides[bit(one[0], depth)].append(one)
    left, right = map_root(sides[0], depth + 1), map_root(sides[1], depth + 1)
    if left[0] == 0 and right[0] < 2:
        return right
    if right[0] == 0 and left[0] < 2:
        return left
    return 2, parent(left[1], right[1])


def is_head(stream, version, leaf, proof, root):
    key, found = map_leaf(stream, version, leaf)
    for depth, beside in zip(range(len(proof) - 1, -1, -1), proof):
        found = parent(beside, found) if bit(key, depth) else parent(found, beside)
    return found == root


# -- the readable report: what the entries and the disclosed texts say, in words ------------------------------
#
# `report.csv` and `report.html` of a bundle are written by this code, and checked by writing them again: each byte
# follows from the entries, the texts that are disclosed and the flows. Whoever changes a byte that is written here
# gives REPORT the next number.

REPORT = "interlock report v3"
COLUMNS = ("conversation", "event", "time", "type", "who", "what", "why", "signed", "before", "after", "leaf hash")
LONGEST_TEXT = 4000
"""Characters of one text that are shown; the rest stands in `payloads/`."""
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"  # controls, halves, no characters
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
    "\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001343f]"  # formats that are seen
)
"""Characters that nobody sees, or that make others stand elsewhere: they are shown as what they are. A table of its
own, of what Unicode 16 lists as ignorable, format and surrogate: what Python knows of Unicode differs by release."""

WORDS = {
    "message_taken": "takes up the message of event {message}",
    "input_received": "gives the input {name}",
    "fact_forgotten": "forgets {name}",
    "fact_skipped": "leaves {name} open",
    "issues_dropped": "does not take up {labels}: {reason~}",
    "transition_refused": "stays in {source}: {on} is refused, {reason~}",
    "handoff_made": "hands over from {handoff.source} to {handoff.target}, with {handoff.history.count} messages",
    "agent_requested": "asks the agent {agent} ({model}) in {state}, attempt {attempt}",
    "agent_tool_ended": "{agent}, asked as a tool, has ended: {outcome~}",
    "retry_scheduled": "will ask {agent} again at {due@}, attempt {attempt}",
    "history_summarised": "{by} sums up the first {replaced} messages for {agent}",
    "over_budget": "does not ask {agent}: {token_bound} tokens are needed, and {maximum} fit",
    "broadcast_started": "asks several at once in {state}; {needed} valid results are needed",
    "broadcast_ended": "all have been asked in {state}: {outcome~}, {percent} % valid",
    "late_result": "{member} of {state} answers late: {outcome~}",
    "retry_planned": "will ask {members} again after {due@}",
    "judged": "judges {of}: {verdict~}",
    "tool_requested": "calls the tool {tool} in {state}",
    "approval_void": "does not run {tool}: {approval} has not approved it",
    "task_opened": "opens a task for {role} in {state}: {decisions}",
    "task_endorsed": "endorses {decision} in task {task}",
    "task_decided": "decides {decision} in task {task}",
    "timer_set": "waits in {state}, until {due@} at most",
    "timer_fired": "the deadline of event {timer} has passed",
    "limit_reached": "reaches the limit {limit~}: {value} of {maximum}",
    "effect_resolved": "tells what became of event {effect}: {how~}",
    "command_refused": "is refused: {command.kind~}",
    "conversation_ended": "ends in {state}",
    "subflow_started": "begins the child conversation {child} on {flow.name} v{flow.version}",
    "subflow_replied": "takes over what the child said in its event {version}",
    "subflow_left": "goes on without the child of event {effect}",
    "subflow_ended": "the child of event {effect} has ended in {report.outcome}",
    "parent_left": "the parent went on without this conversation",
    "conversation_imported": "is imported from a record of {messages} messages ({format}): it was led elsewhere",
    "flow_changed": "goes on under {flow.name} v{flow.version}, before under {before.name} v{before.version}",
    "erased": "{payloads} texts of this person were erased",
    "heads_taken": "the log states where each of {conversations} conversations ends, at {leaves} leaves",
    "key_rotated": "the log signs with another key from here on",
    "texts_read": "reads the texts of {conversation}, through {through}",
    "hold_placed": "places a hold on {conversation|subject}",
    "hold_released": "releases the hold of record {hold}",
    "erasure_asked": "asks to erase {subject}; {approvals} people must approve",
    "erasure_approved": "approves the erasure of record {request}",
    "erasure_refused": "may not erase {subject}: {reason~}",
    "erasure_done": "the erasure of record {request} is done: {payloads} texts of {conversations} conversations",
    "texts_pruned": "deletes {payloads} texts of {conversations} conversations whose time was over",
    "segment_pruned": "prunes {entries} entries of {conversations} conversations, which are archived in {archive}",
    "prune_refused": "may not prune what is archived in {archive}: hold {hold} stands against it",
    "keys_changed": "{count} keys or texts were changed: {how~}",
    "approver_named": "names {person} as an approver",
}
REASONS = {
    "transition_refused": "",
    "retry_scheduled": "{why~}",
    "judged": "{criterion}",
    "approval_void": "{reason~}",
    "command_refused": "{reason~}",
    "texts_read": "{ground}",
    "hold_placed": "{ground}",
    "hold_released": "{ground}",
    "erasure_asked": "{ground}",
    "erasure_refused": "{ground}",
    "texts_pruned": "{ground}",
    "segment_pruned": "{ground}",
    "prune_refused": "{ground}",
    "approver_named": "{ground}",
}
THEIRS = {"conversation_started", "message_received", "input_received", "agent_returned", "tool_returned",
          "task_decided", "task_endorsed", "timer_fired", "effect_resolved", "command_refused", "erased",
          "flow_changed", "subflow_replied", "subflow_ended", "parent_left", "conversation_imported",
          "message_imported", "late_result"}  # fmt: skip
"""What somebody did. All else the flow's code does upon it: theirs is the occasion, not the act."""
VERDICTS = {"holds": "holds", "fails": "does not hold", "error": "raised an error", "not_reached": "was not reached"}
STAGES = {"rules": "a rule", "picked": "the customer's choice", "classifier": "the classifier", "screen": "the screen",
          "escalation": "an escalation rule", "queued": "its turn", "model": "the model",
          "sticky": "who has the conversation"}  # fmt: skip
PHRASES = {
    "ask": "Please tell me {says}.",
    "not_understood": "I am sorry, I did not understand that.",
    "repeat_lead": "Of course:",
    "too_long": "That message is too long for me: at most {limit} bytes. Please send it in parts.",
    "summary_lead": "This is what I have:",
    "confirm": "Is that right?",
    "what_to_change": "What should I change?",
    "corrected": "Thank you, I have changed that.",
    "waiting": "A colleague is looking at this and will come back to you.",
    "limit": "I cannot take this further on my own.",
    "blocked": "I cannot help with that message.",
    "unavailable": "Something on our side did not work. Please try again later.",
    "next_issue": "You also asked about {says}.",
    "another_matter": "something else",
    "policy": "I may not do that at this point.",
    "cancelled": "All right, I have stopped this.",
    "cached": "(An earlier answer to the same question:)",
    "ended": "This conversation has ended. Please start a new one.",
}
"""What a flow says that has no words of its own for it."""
SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "CAD": "CA$", "AUD": "A$", "NZD": "NZ$",
           "KRW": "₩"}  # fmt: skip
DIGITS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "ISK": 0, "UGX": 0, "XAF": 0, "XOF": 0, "PYG": 0, "RWF": 0,
          "BHD": 3, "KWD": 3, "OMR": 3, "JOD": 3, "TND": 3, "IQD": 3, "LYD": 3}  # fmt: skip
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
PLACE = re.compile(r"\{\{|\}\}|\{([A-Za-z][A-Za-z0-9_]{0,63})\}|[{}]")


def seen(text):
    """The text so that it can only be read as what it is: what is unseen, or turns the line round, is spelled out."""
    return UNSEEN.sub(lambda found: _spelled(ord(found[0])), text.replace("\r\n", "\n"))


QUOTES = re.compile('["\\\\\u00ab\u00bb\u02ba\u02dd\u02ee\u201c-\u201f\u2033\u2036\u275d\u275e\u301d-\u301f\uff02]')
"""What ends a quotation, what looks like it, and what stands before one that does not end it."""


def in_quotes(text):
    """The text as a quotation that ends where it ends: each mark in it, and each backslash, is behind a backslash."""
    return f"“{QUOTES.sub(lambda found: BACKSLASH + found[0], text)}”"


BACKSLASH = "\\"


def _spelled(number):
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def moment(text):
    """`2026-11-21T09:00:00.000000Z` to the second, for sentences."""
    return f"{text[:10]} {text[11:19]} UTC"


def in_words(pattern, data):
    """A pattern of WORDS with its places filled: `~` for words without underscores, `@` for a time, `|` for `or`."""

    def one(found):
        name, how = found[1].rstrip("~@"), found[1][-1]
        value = next((one for one in (_at(data, part) for part in name.split("|")) if one is not None), "-")
        if isinstance(value, list):
            value = ", ".join(map(str, value)) or "none"
        value = {True: "yes", False: "no"}[value] if isinstance(value, bool) else value
        if isinstance(value, int):
            return f"{value:,}"
        return moment(value) if how == "@" else value.replace("_", " ") if how == "~" else str(value)

    return re.sub(r"\{([^{}]+)\}", one, pattern)


def _at(data, path):
    for part in path.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def said(spec, value, currency):
    """A fact's value as people read it: `€1,234.50`, `3 March 2026`, `yes`."""
    kind = spec.get("type")
    if isinstance(value, bool):
        return "yes" if value else "no"
    if kind == "money" and isinstance(value, int):
        digits = DIGITS.get(currency, 2)
        whole, part = divmod(abs(value), 10**digits)
        number = f"{whole:,}" + (f".{part:0{digits}d}" if digits else "")
        return f"{'-' if value < 0 else ''}{SYMBOLS.get(currency, f'{currency} ')}{number}"
    if kind == "date" and re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])-[0-9]{2}", str(value)):
        return f"{int(value[8:])} {MONTHS[int(value[5:7]) - 1]} {int(value[:4])}"
    return str(value).replace("_", " ") if kind == "choice" else str(value)


def named(parts, name):
    """The part of a flow with this name; nothing where there is none."""
    return next((one for one in parts or () if one.get("name") == name), {})


def guard_text(guard):
    """A condition as it is written in verdicts."""
    op, parts = guard.get("op", "call"), guard.get("parts", ())
    if op == "call":
        given = ", ".join(map(_literal, guard.get("arguments", ())))
        return f"{guard['name']}({given})" if given else guard["name"]
    if op in ("otherwise", "in_digression"):
        return op
    return f"{'not_' if op == 'not' else op}({', '.join(map(guard_text, parts))})"


def _literal(value):
    """A value as Python writes it; which characters it would spell out, no release of Python decides."""
    if not isinstance(value, str):
        return repr(value)
    mark = '"' if "'" in value and '"' not in value else "'"
    text = value.replace("\\", "\\\\").replace(mark, "\\" + mark)
    for one, spelled in (("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(one, spelled)
    low = UNSEEN.sub(lambda found: f"\\x{ord(found[0]):02x}" if ord(found[0]) < 256 else found[0], text)
    return mark + seen(low) + mark


def is_written_so(guard, text):
    """Whether a verdict's text is of this condition. By its beginning: how an argument is written, some releases of
    Python say otherwise."""
    op = guard.get("op", "call")
    if op in ("otherwise", "in_digression"):
        return text == op
    name = guard["name"] if op == "call" else "not_" if op == "not" else op
    return text == name or text.startswith(f"{name}(")


def guard_sentence(flow, guard):
    """A condition in the words of the flow."""
    op, parts = guard.get("op", "call"), guard.get("parts", ())
    if op == "otherwise":
        return "nothing above holds"
    if op == "in_digression":
        return "a digression is open"
    if op == "call":
        says = named(flow.get("guards"), guard["name"]).get("says")
        if says is None:
            return guard_text(guard)
        places = list(dict.fromkeys(re.findall(r"\{([^{}]*)\}", says)))
        values = dict(zip(places, guard.get("arguments", ())))
        return re.sub(r"\{([^{}]*)\}", lambda found: _argument(values.get(found[1], "…")), says)
    inside = [f"({guard_sentence(flow, one)})" if one.get("parts") else guard_sentence(flow, one) for one in parts]
    return f"it is not so that {inside[0]}" if op == "not" else (" and " if op == "all_of" else " or ").join(inside)


def _argument(value):
    return said({}, value, "") if isinstance(value, (bool, str)) else f"{value:,}"


class Row:
    """One entry in words. `cells` are those of COLUMNS."""

    def __init__(self, value, leaf, who, what, why="", before="", after="", signed="") -> None:
        self.stream, self.version = seen(value.get("stream", "")), value.get("ver", value.get("record"))
        self.at, self.type, self.leaf = seen(value["at"]), seen(value["type"]), leaf.hex()
        self.who, self.what, self.why = seen(who), seen(what), seen(why)
        self.before, self.after, self.signed = seen(before), seen(after), seen(signed)

    @property
    def cells(self):
        return (self.stream, str(self.version), self.at, self.type, self.who, self.what, self.why, self.signed,
                self.before, self.after, self.leaf)  # fmt: skip


class Conversation:
    """One conversation, told entry by entry. `entries` are (value, leaf), `texts` what its payloads' file lists."""

    def __init__(self, stream, entries, texts, flows) -> None:
        self.stream, self.texts, self.flows = stream, {(one["version"], one["name"]): one for one in texts}, flows
        self.flow: dict[str, Any] = {}
        self.known: dict[str, dict[str, Any]] = {}
        self.asked: dict[int, str] = {}
        self.labels: list[str] = []
        self.children: list[str] = []
        self.forks: list[str] = []
        self.signers: set[str] = set()
        self.named: list[str] = []
        self.rows: list[Row] = []
        self.state = self.parent = self.ended = ""
        self.started, self.last = entries[0][0]["at"], entries[-1][0]["at"]
        for value, leaf in entries:
            self.flow = flows.get(value["flow"], {})
            try:
                self.rows.append(self._row(value, leaf))
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                raise NotTold(stream, len(self.rows), error) from None

    def _row(self, value, leaf):
        state, known = self.state, dict(self.known)
        kind, data, actor = value["type"], value["data"], value["actor"]
        self._learn(kind, data, value["ver"])
        roles = f" ({', '.join(actor['roles'])})" if actor["roles"] else ""
        signed_in = f", known by {actor['authn']}" if actor["authn"] != "none" else ""
        who = f"{actor['kind']} {actor['id']}{roles}{signed_in}"
        try:
            what, why = self._what(kind, data, value), self._why(kind, data, value)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            what, why = f"{kind.replace('_', ' ')}: {json.dumps(data, sort_keys=True, ensure_ascii=False)}", ""
        was, now = self._changes(state, known)
        who = who if kind in THEIRS else f"the flow, upon {who}"
        return Row(value, leaf, who, what, why, was, now, self._signed(kind, data))

    def _signed(self, kind, data):
        """The signature under a decision, in a cell that holds nothing else: no text that somebody wrote can pass for
        one."""
        signed = data.get("signed") if kind in ("task_decided", "task_endorsed") else None
        if not isinstance(signed, dict):
            return ""
        self.signers.add(signed["person"])
        key = re.sub("[^0-9a-f]", "?", str(signed["key"]))[:16]
        return f"by {signed['person']}, {moment(signed['signed_at'])}, key {key}…: {in_quotes(signed['meaning'])}"

    def _learn(self, kind, data, version):
        """What the entry does to the conversation: the state that it is in, and what it knows."""
        if kind in ("conversation_started", "flow_changed"):
            self.state = data["state"]
            self.named.append(f"{data['flow']['name']} v{data['flow']['version']} ({data['flow']['digest'][:12]})")
            self.parent = (data.get("parent") or {}).get("conversation", self.parent)
            self.forks = [one["conversation"] for one in data.get("forks", ())] or self.forks
        elif kind == "transition_taken":
            self.state = data["target"]
        elif kind == "facts_recorded":
            self.known |= {one["name"]: one for one in data["facts"]}
        elif kind == "fact_forgotten":
            self.known.pop(data["name"], None)
        elif kind == "routing_decided" and "agent" not in data and not data["decision"].get("asks_model"):
            self.labels = data["decision"].get("candidates", [])
        elif kind in ("agent_requested", "tool_requested"):
            self.asked[version] = data.get("agent") or data.get("tool")
        elif kind == "subflow_started":
            self.children.append(data["child"])
        elif kind == "conversation_ended":
            self.ended = data["state"]
        elif kind == "conversation_imported":
            self.ended, self.named = "imported", ["led elsewhere"]

    # -- what happened

    def _what(self, kind, data, value):
        version = value["ver"]
        special = getattr(self, f"_{kind}", None)
        if special is not None:
            return special(data, version)
        if kind not in WORDS:
            raise KeyError(kind)
        return in_words(WORDS[kind], data) + self._extra(kind, data)

    def _extra(self, kind, data):
        """What only some of these entries have."""
        extra = []
        if kind == "agent_requested":
            extra = [f", tool round {data['round']}" if data.get("round") else "",
                     f" as {data['member']}" if data.get("member") not in (None, data["agent"]) else "",
                     f", for {data['purpose']}" if data.get("purpose", "run") not in ("run", "member") else "",
                     f", as fallback {data['fallback']}" if data.get("fallback") else "",
                     ", for an answer given before" if data.get("cached") else "",
                     ", in the background" if data.get("background") else ""]  # fmt: skip
        elif kind == "tool_requested":
            extra = [", which changes something" if data["consequential"] else "",
                     f", as approved in task {data['approval']}" if "approval" in data else ""]  # fmt: skip
        elif kind == "task_opened":
            extra = [f", by {data['approvals']} people" if data.get("approvals", 1) > 1 else "",
                     ", signed" if data.get("signed") else ""]  # fmt: skip
        elif kind == "broadcast_started":
            extra = [f": {', '.join(one['name'] for one in data['members'])}"]
        elif kind == "broadcast_ended":
            extra = ["".join(f"; {one['name']} {one['status']}" for one in data["members"])]
        elif data.get("late"):
            extra = [", too late to matter"]
        return "".join(extra)

    def _conversation_started(self, data, version):
        flow = data["flow"]
        forked = "".join(f", forked from {one['conversation']} before its event {one['version']}"
                         for one in data.get("forks", ())[-1:])  # fmt: skip
        child = f", as a child of {self.parent}" if self.parent else ""
        given = f", with {', '.join(one['name'] for one in data['facts'])}" if data["facts"] else ""
        return f"starts on {flow['name']} v{flow['version']}{given}{child}{forked}"

    def _message_received(self, data, version):
        how = {"taken": "", "queued": " (kept until the work in hand is done)", "refused": " (not read)",
               "noted": " (kept for the person who has the case)",
               "forwarded": " (for the child conversation)"}  # fmt: skip
        return f"says {self.quoted(version, data['message']['name'])}{how[data['disposition']]}"

    def _reply_sent(self, data, version):
        if "agent" in data:
            return f"replies {self.quoted(data['agent'], 'reply')}"
        template = self._template(data["text"])
        if template is None:
            return f"replies with the flow's text {data['text']}"
        values = {"reference": self.stream[:8], "limit": str(_at(self.flow, "limits.message_bytes"))}
        for fact in self.known.values():
            values[fact["name"]] = self.value(fact)
        labels = self._labels()
        values |= {place: labels.get(label, label) for place, label in zip(("first_choice", "second_choice"),
                                                                           self.labels)}  # fmt: skip
        words = PLACE.sub(lambda found: values.get(found[1], "") if found[1] else found[0][0], template)
        return f"replies {in_quotes(words)}"

    def _facts_recorded(self, data, version):
        facts = [one["name"] + (" (corrected)" if one["corrected"] else "") for one in data["facts"]]
        sources = dict.fromkeys(one["source"] for one in data["facts"])
        return f"takes down {', '.join(facts)}, from the {' and the '.join(sources)}" if facts else "takes down nothing"

    def _question_asked(self, data, version):
        what = f"asks for {data['fact']}" if "fact" in data else "asks whether all is right"
        return what + (f", attempt {data['attempt']}" if data["attempt"] > 1 else "")

    def _routing_decided(self, data, version):
        outcome, agent = data["decision"]["outcome"], data.get("agent")
        if agent:
            return f"measures whether it is for {agent}: {outcome}"
        waits = "".join(f"; {one['label']} waits" for one in data.get("issues", ()))
        return {"unsure": "does not route it: unsure", "blocked": "does not route it: blocked"}.get(
            outcome, f"routes it to {outcome}") + waits  # fmt: skip

    def _transition_taken(self, data, version):
        way = {"push": " (a digression)", "return": " (back from it)", "leave": " (leaves it)"}.get(data["move"], "")
        return f"goes from {data['source']} to {data['target']}, on {data['on']}{way}"

    def _policy_kept(self, data, version):
        return in_words("does not run {tool}" if "tool" in data else "does not go to {target}, on {on}", data)

    def _agent_returned(self, data, version):
        report, who = data["report"], self.asked.get(data["effect"], "the agent")
        late = ", too late to matter" if data["late"] else ""
        if report["calls"]:
            calls = [f"{one.get('name') or one.get('agent') or 'an unknown tool'} "
                     f"{self.quoted(version, one['arguments']['name'])}" for one in report["calls"]]  # fmt: skip
            return f"{who} proposes {', '.join(calls)}{late}"
        shown = "".join(f": {self.quoted(version, report[one]['name'])}" for one in ("output",) if one in report)
        return f"{who} has ended, {report['outcome'].replace('_', ' ')}{late}{shown}"

    def _tool_returned(self, data, version):
        report, who = data["report"], self.asked.get(data["effect"], "the tool")
        shown = f": {self.quoted(version, report['result']['name'])}" if "result" in report else ""
        late = ", too late to matter" if data["late"] else ""
        return f"{who} has ended, {report['outcome']}{late}{shown}"

    def _tool_refused(self, data, version):
        return f"does not run {data.get('tool') or data.get('agent') or 'an unknown tool'}, which was proposed"

    def _message_imported(self, data, version):
        parts = [f"says {self.quoted(version, data[one]['name'])}" for one in ("text", "refusal") if one in data]
        parts += [f"calls {one.get('tool') or 'a tool'} {self.quoted(version, one['arguments']['name'])}"
                  for one in data["calls"]]  # fmt: skip
        parts += [f"with {', '.join(data['parts'])}, not kept"] if data["parts"] else []
        return f"{data['role']}: {'; '.join(parts) or 'nothing'}"

    # -- why

    def _why(self, kind, data, value):
        if kind == "transition_taken":
            return "\n".join([data["because"], *self._verdicts(data)])
        if kind == "transition_refused":
            return "\n".join(self._verdicts(data))
        if kind == "policy_kept":
            rules = [f"{one}: {named(self.flow.get('policies'), one).get('says', '')}" for one in data["policies"]]
            return "\n".join([*rules, *self._verdicts(data)])
        if kind == "routing_decided":
            return self._routed(data)
        if kind in ("task_decided", "task_endorsed"):
            return self.quoted(value["ver"], data["reason"]["name"]) if "reason" in data else ""
        if kind == "tool_refused":
            return "; ".join([data["reason"].replace("_", " "), *data["problems"], *data.get("policies", ())])
        if kind in ("agent_returned", "tool_returned"):
            report = data["report"]
            found = [f"breaks its contract: {one}" for one in report.get("violations", ())]
            found += [f"{one['subject']}: {one['before']} to {one['after']}" for one in report.get("conditions", ())]
            return "; ".join([*([report["reason"].replace("_", " ")] if report["reason"] else []), *found])
        failing = data.get("failing") or _at(data, "report.failing")
        if failing:
            return f"{failing['reason']} in {', '.join(one['flow'] + '.' + one['state'] for one in failing['path'])}"
        return in_words(REASONS[kind], data) if kind in REASONS else ""

    def _verdicts(self, data):
        """Each guard's sentence and verdict; a row that asked nothing needs none."""
        verdicts, rows = data.get("verdicts", ()), self.flow.get("transitions", ())
        if all(one["guard"] == "otherwise" for one in verdicts):
            return
        for one in verdicts:
            guard = rows[one["row"]].get("guard", {"op": "otherwise"}) if one["row"] < len(rows) else None
            known = guard is not None and is_written_so(guard, one["guard"])
            yield f"{guard_sentence(self.flow, guard) if known else one['guard']}: {VERDICTS[one['result']]}"

    def _routed(self, data):
        decision, scores = data["decision"], data["evidence"]["scores"][:2]
        by = STAGES.get(decision["stage"], decision["stage"])
        told = next((one["said"] for one in decision["verdicts"] if one["stage"] == decision["stage"]), "")
        best = ", ".join(f"{one['label']} {one['score'][:4]}" for one in scores)
        needs = f" (needs {decision['threshold'][:4]})" if best and decision.get("threshold") else ""
        return "; ".join(one for one in (f"by {by}" if by != "none" else "", told, f"{best}{needs}") if one)

    # -- before and after

    def _changes(self, state, known):
        was, now = [], []
        if state != self.state:
            was += [f"state: {state}"] if state else []
            now.append(f"state: {self.state}")
        for name in sorted({*known, *self.known}):
            old, new = known.get(name), self.known.get(name)
            if old != new:
                was.append(f"{name}: {self.told(old) if old else 'not known'}")
                now.append(f"{name}: {self.told(new) if new else 'not known'}")
        return "\n".join(was), "\n".join(now)

    def told(self, fact):
        """Its value where lines stand for facts: what somebody wrote is quoted, or it could pass for another line."""
        if "sealed" in fact:
            return self.quoted(fact["sealed"]["version"], fact["sealed"]["name"])
        value = self.value(fact)
        return in_quotes(value) if "\n" in value else value

    def value(self, fact):
        if "sealed" in fact:
            return self.plain(fact["sealed"]["version"], fact["sealed"]["name"])
        return said(named(self.flow.get("facts"), fact["name"]), fact.get("value"), self.flow.get("currency", "EUR"))

    # -- texts

    def plain(self, version, name):
        """What was written, or why it is not shown. An entry binds each byte of it."""
        one = self.texts.get((version, name))
        if one is None:
            return "[no text]"
        if "plaintext" not in one:
            return f"[{one['not_disclosed']}: {one['length']} bytes]"
        text = unbase64(one["plaintext"]).decode("utf-8", "replace")
        more = len(text) - LONGEST_TEXT
        return text if more <= 0 else f"{text[:LONGEST_TEXT]}… [{more:,} more characters in payloads/]"

    def quoted(self, version, name):
        text = self.plain(version, name)
        return in_quotes(text) if "plaintext" in self.texts.get((version, name), ()) else text

    def _labels(self):
        return {name: says for router in self.flow.get("routers", ()) for name, says in router["labels"].items()}

    def _phrase(self, name):
        return self.flow.get("phrases", {}).get(name, PHRASES.get(name, ""))

    def _template(self, text):
        """The flow's own words behind the name of a text; None where the flow is not there."""
        group, _, name = text.partition(".")
        if not self.flow.get("states"):
            return None
        state, spec = named(self.flow["states"], name), named(self.flow.get("facts"), name)
        asked = spec.get("ask") or self._phrase("ask").replace("{says}", self._called(spec))
        if group == "phrase":
            return self._phrase(name)
        if group == "state":
            return state.get("say", "")
        if group == "meanwhile":
            return state.get("meanwhile") or self._phrase("waiting")
        if group == "confirm":
            specs = [named(self.flow.get("facts"), one) for one in state.get("facts", ())]
            lines = ", ".join(f"{self._called(one)}: {{{one['name']}}}" for one in specs if one)
            return state.get("confirm") or f"{self._phrase('summary_lead')} {lines}. {self._phrase('confirm')}"
        if group in ("next_issue", "issues_dropped"):
            words = self._labels()
            called = [escaped(words.get(one) or self._phrase("another_matter")) for one in name.split(".")]
            return self._phrase(group).replace("{says}", " and ".join(called))
        return asked if group == "ask" else f"{spec.get('help') or self._phrase('not_understood')} {asked}"

    def _called(self, spec):
        return escaped(spec.get("says") or spec.get("name", "").replace("_", " "))

    @property
    def outcome(self):
        if self.ended == "imported":
            return "imported: led elsewhere, nothing was decided here"
        return f"ended in {self.ended}" if self.ended else f"still open, in {self.state}"

    def listed(self, how):
        """Those texts, by name and event."""
        return ", ".join(f"{name} of event {version}" for (version, name), one in sorted(self.texts.items())
                         if one.get("not_disclosed") == how)  # fmt: skip

    def counted(self, how):
        """How many of its texts are `shown`, `withheld`, `erased` or, with no erasure recorded, `missing`."""
        return sum(one.get("not_disclosed", "shown") == how for one in self.texts.values())


def _lost(count):
    """Texts that are missing without a record of their erasure, to be told behind the others."""
    return f", {count} MISSING with no erasure recorded" if count else ""


def escaped(text):
    """The text as a template that says exactly this."""
    return text.replace("{", "{{").replace("}", "}}")


STYLE = """
:root{color-scheme:light;--ink:#18212d;--dim:#566273;--line:#d9e0e8;--soft:#f4f7fa}
:root{--blue:#1c4f91;--bad:#a4231c;--ok:#17693f}
*{box-sizing:border-box}
body{margin:0;background:#fff;color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1240px;margin:0 auto;padding:28px 24px 64px}
h1{font-size:25px;line-height:1.25;margin:0 0 6px}
h2{font-size:18px;margin:40px 0 8px;padding-top:14px;border-top:2px solid var(--ink)}
h3{font-size:15px;margin:20px 0 6px}
p{max-width:80ch;margin:6px 0}
.dim,dt,th,small{color:var(--dim)}
a{color:var(--blue)}
code,pre{font:12.5px/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
pre{background:var(--soft);border:1px solid var(--line);border-radius:6px;padding:10px 12px;margin:8px 0}
pre{white-space:pre-wrap}
.verdict{border:1px solid var(--line);border-left:6px solid var(--dim);border-radius:6px}
.verdict{padding:10px 16px;margin:16px 0}
.verdict b{font-size:17px}.verdict.ok{border-left-color:var(--ok)}.verdict.bad{border-left-color:var(--bad)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 18px;margin:12px 0}
dd{margin:0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;margin-top:10px;table-layout:fixed}
th,td{text-align:left;vertical-align:top;padding:6px 10px;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
td{unicode-bidi:isolate;white-space:pre-line}
th{font-size:12px;font-weight:600;background:#fff;border-bottom:2px solid var(--line)}
thead th{position:sticky;top:0}
td.n,td.t{font-variant-numeric:tabular-nums;color:var(--dim);white-space:normal}
small{display:block;font-size:12px}
tr.said td{background:var(--soft)}
tr.move td.x{font-weight:600}
td.s:not(:empty){border-left:4px solid var(--ok);background:var(--soft)}
tr.bad td{color:var(--bad)}
tr.note td{color:var(--dim)}
col.n{width:46px}col.t{width:122px}col.w{width:14%}col.y{width:21%}col.c{width:13%}col.s{width:15%}
col.i{width:26%}col.k{width:84px}
@media screen and (max-width:860px){
main{padding:18px 14px 48px}h1{font-size:21px}
dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:6px}
table,tbody,tr,td{display:block;width:auto}colgroup,thead{display:none}
tr{border:1px solid var(--line);border-radius:6px;margin:8px 0;padding:6px 10px}
tr.said{background:var(--soft)}tr.move{border-left:4px solid var(--blue)}tr.bad{border-left:4px solid var(--bad)}
td{border:0;padding:2px 0 2px 92px;position:relative;min-height:24px}
td:empty{display:none}
td::before{content:attr(data-label);position:absolute;left:0;color:var(--dim);font:400 12px/23px system-ui,sans-serif}
small{display:inline;margin-left:8px}
}
@media print{
@page{size:A4 landscape;margin:12mm}
main{padding:0;max-width:none}body{font-size:10px}code,pre,small,th{font-size:9px}
h1{font-size:18px}h2{font-size:13px;margin-top:22px;break-after:avoid}
thead{display:table-header-group}thead th{position:static}tr,dl,.verdict{break-inside:avoid}
a{color:inherit;text-decoration:none}th,td{padding:3px 6px}
}
"""
KINDS = {
    "message_received": "said", "reply_sent": "said", "message_imported": "said", "transition_taken": "move",
    "conversation_started": "move", "conversation_ended": "move", "flow_changed": "move", "transition_refused": "bad",
    "tool_refused": "bad", "policy_kept": "bad", "command_refused": "bad", "approval_void": "bad",
    "limit_reached": "bad", "timer_set": "note", "timer_fired": "note", "question_asked": "note",
    "message_taken": "note", "heads_taken": "note",
}  # fmt: skip
"""How an entry's line is set; others are set plainly."""
LEVELS = {
    "WITNESSED": "The witnesses that you named have seen this tree: nobody was shown another one.",
    "ANCHORED": "A checkpoint that you got elsewhere is of this very tree.",
    "SELF-ATTESTED": "Everything fits together, by the word of who holds the signing key.",
    "NOT SHOWN": "Nothing is wrong, but the bundle does not answer for something that you brought, or nothing that you "
    "brought says whose it is.",
    "BROKEN": "Something does not hold. Do not rely on what follows.",
}


class Readable:
    """The two readable files. `conversations` are told, `records` are (value, leaf) of the log's own records."""

    def __init__(self, checkpoint, scope, disclosed, conversations, records) -> None:
        self.checkpoint, self.scope, self.disclosed = checkpoint, scope, disclosed
        self.conversations = sorted(conversations, key=lambda one: (one.started, one.stream))
        self.places = {one.stream: number for number, one in enumerate(self.conversations, 1)}
        self.records = [_record(value, leaf) for value, leaf in sorted(records, key=lambda one: one[0]["record"])]

    def csv(self) -> bytes:
        """Every entry a line: UTF-8, each field in double quotes, lines ended by CR LF, nothing that is a formula."""
        rows = [COLUMNS, *(row.cells for one in self.conversations for row in one.rows)]
        rows += [row.cells for row in self.records]
        return "".join(",".join(map(_field, row)) + "\r\n" for row in rows).encode()

    def html(self, report=None, keys=()) -> bytes:
        """The page of the bundle; with a report, the page of who has checked it."""
        parts = [_head(self.checkpoint.origin, len(self.conversations)), _verdict(report), self._about(keys)]
        parts += [self._overview(), *(self._section(n, one) for n, one in enumerate(self.conversations, 1))]
        parts += [_records(self.records), "</main></body></html>\n"]
        return "".join(parts).encode()

    def _about(self, keys):
        heads = [row for row in self.records if row.type == "heads_taken"]
        signers = "<br>".join(f"<code>{_text(f'{name}+{key_id.hex()}')}</code>"
                              for name, key_id, _ in self.checkpoint.signatures)  # fmt: skip
        shown, withheld, erased = (sum(one.counted(how) for one in self.conversations)
                                   for how in ("shown", "withheld", "erased"))  # fmt: skip
        scope = "every conversation of the log, and the log's own records"
        if self.scope != "all":
            many = counted(len(self.conversations), "conversation")
            scope = f"{many} of the log, from the first entry to the last"
        asked = "" if self.disclosed == ["all"] else f" (disclosed was: {', '.join(self.disclosed)})"
        lost = sum(one.counted("missing") for one in self.conversations)
        told = f"{shown} shown, {withheld} withheld, {erased} erased{_lost(lost)}{asked}"
        lines = [
            ("Holds", _text(scope)),
            ("As of", _text(moment(heads[-1].at) if heads else "not recorded") + ", when the checkpoint was made"),
            ("Checkpoint", f"{self.checkpoint.size:,} entries, Merkle root <code>{self.checkpoint.root.hex()}</code>"),
            ("Signature lines of", signers),
            *([("Checked with the key", "<br>".join(f"<code>{_text(one)}</code>" for one in keys))] if keys else []),
            ("Texts", _text(told)),
            ("Times", "UTC"),
        ]
        return f"<dl>{''.join(f'<dt>{name}</dt><dd>{what}</dd>' for name, what in lines)}</dl>\n"

    def _overview(self):
        names = ("Conversation", "Started", "Last entry", "Outcome", "Flow", "Entries", "Texts")
        head = _header(names, ("i", "", "", "", "", "k", ""))
        rows = []
        for number, one in enumerate(self.conversations, 1):
            texts = ", ".join(f"{one.counted(how)} {how}" for how in ("shown", "withheld", "erased", "missing")
                              if one.counted(how)) or "none"  # fmt: skip
            told = map(_text, (moment(one.started), moment(one.last), one.outcome, ", then ".join(one.named)))
            cells = [f'<a href="#c{number}">{_text(one.stream)}</a>', *told, str(len(one.rows)), texts]
            rows.append(_cells(cells, head[1], ""))
        return f"<h2>Overview</h2>\n<table>{head[0]}<tbody>\n{''.join(rows)}</tbody></table>\n"

    def _section(self, number, one):
        shown, withheld, erased = (one.counted(how) for how in ("shown", "withheld", "erased"))
        lost = _lost(one.counted("missing"))
        owner = f", owned by {one.flow['owner']}" if one.flow.get("owner") else ""
        lines = [("Outcome", _text(one.outcome)), ("Flow", _text(", then ".join(one.named) + owner)),
                 ("From", _text(f"{moment(one.started)} to {moment(one.last)}")),
                 ("Entries", f"{len(one.rows)}, the last with the leaf hash <code>{one.rows[-1].leaf}</code>"),
                 ("Texts", f"{shown} shown, {withheld} withheld, {erased} erased{lost}")]  # fmt: skip
        lines += [(how.capitalize(), _text(one.listed(how)))
                  for how in ("withheld", "erased", "missing") if one.counted(how)]  # fmt: skip
        lines += [("Child of", self._linked([one.parent]))] if one.parent else []
        lines += [("Forked from", self._linked(one.forks))] if one.forks else []
        lines += [("Children", self._linked(one.children))] if one.children else []
        table = _steps(one.rows)
        return (
            f'<section id="c{number}"><h2>Conversation {_text(one.stream)}</h2>\n<dl>'
            + "".join(f"<dt>{name}</dt><dd>{what}</dd>" for name, what in lines)
            + f"</dl>\n{table}</section>\n"
        )

    def _linked(self, streams):
        """Other conversations: where they stand on this page, or that they do not."""
        return ", ".join(
            f'<a href="#c{self.places[one]}">{_text(one)}</a>' if one in self.places
            else f"{_text(one)} (not in this bundle)" for one in streams
        )  # fmt: skip


def _record(value, leaf):
    kind, data = value["type"], value["data"]
    what = in_words(WORDS[kind], data) if kind in WORDS else f"{kind}: {json.dumps(data, sort_keys=True)}"
    why = in_words(REASONS[kind], data) if kind in REASONS else ""
    return Row(value, leaf, data.get("by", "the log"), what, "" if why == "-" else why)


def _field(cell):
    """A field that no spreadsheet takes for a formula."""
    guard = "'" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else ""
    return '"' + (guard + cell).replace('"', '""') + '"'


def _text(text):
    return html.escape(seen(text))


def _head(origin, count):
    title = f"What happened in {counted(count, 'conversation')}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>{STYLE}</style></head><body><main>
<h1>{title}</h1>
<p class="dim">The log <code>{_text(origin)}</code>. {REPORT.capitalize()}.</p>
"""


HOW_TO = """<p>Get two things from elsewhere, not from this bundle: the log's public key, and
<code>verify_bundle.py</code>. Then anybody can check every line of this page, with Python alone:</p>
<pre>python verify_bundle.py BUNDLE --key log.vkey --report checked.html</pre>
<p class="dim">It checks that the entries are unchanged, complete and signed, and that this page and report.csv say what
the entries say; <code>checked.html</code> is this page as it wrote it, with its verdict. With a checkpoint that was
published before (<code>--head FILE</code>) it also shows that nothing was rewritten by who holds the key.</p>
"""


def _verdict(report):
    if report is None:
        return f'<div class="verdict"><b>Not checked yet</b>\n{HOW_TO}</div>\n'
    told = LEVELS[report.verdict]
    lines = "".join(f"<p>{_text(one)}</p>" for one in [*report.faults, *report.missing, *report.says])
    return f"""<div class="verdict {"bad" if report.faults else "ok"}"><b>{report}</b>
<p>{told}</p>{lines}<p class="dim">Written by verify_bundle.py from the entries that it checked.</p></div>
"""


def _header(names, widths=()):
    columns = "".join(f'<col class="{one}">' for one in widths)
    group = f"<colgroup>{columns}</colgroup>" if columns else ""
    return f"{group}<thead><tr>{''.join(f'<th>{one}</th>' for one in names)}</tr></thead>", names


def _cells(cells, names, kind, classes=()):
    classes = classes or [""] * len(cells)
    return (f'<tr class="{kind}">' if kind else "<tr>") + "".join(
        f'<td{f" class={quote(style)}" if style else ""} data-label="{name}">{cell}</td>'
        for cell, name, style in zip(cells, names, classes)
    ) + "</tr>\n"  # fmt: skip


def quote(text):
    return f'"{text}"'


def _row(row, names, widths):
    day, clock = _text(row.at[:10]), _text(row.at[11:23])
    signed = (row.signed,) if "Signed" in names else ()
    told = (row.who, row.what, row.why, *signed, row.before, row.after)  # nothing unseen is left in them
    cells = [str(row.version), f"{clock}<small>{day}</small>", *map(html.escape, told)]
    return _cells(cells, names, KINDS.get(row.type, ""), widths)


def _steps(rows):
    """A table of them; with a column for signatures where there are any."""
    signed = any(row.signed for row in rows)
    names = ("#", "When", "Who", "What", "Why", *(("Signed",) if signed else ()), "Before", "After")
    widths = ("n", "t", "w", "x", "y", *("s",) * signed, "c", "c")
    head, names = _header(names, widths)
    return f'<table class="steps">{head}<tbody>\n{"".join(_row(row, names, widths) for row in rows)}</tbody></table>\n'


def _records(rows):
    if not rows:
        return ""
    return f'<section id="records"><h2>What the log says of itself</h2>\n{_steps(rows)}</section>\n'


# -- the bundle ----------------------------------------------------------------------------------------------


def file_name(stream):
    return urllib.parse.quote(stream, safe="").replace(".", "%2E")


def tile_path(kind, number, width):
    parts = []
    while True:
        parts.insert(0, f"{number % 1000:03}")
        number //= 1000
        if not number:
            break
    path = "/".join(["x" + part for part in parts[:-1]] + parts[-1:])
    return f"tile/{kind}/{path}" + (f".p/{width}" if width < 256 else "")


_NAME = r"(?:[A-Za-z0-9_~-]|%[0-9A-F]{2})+"
LAYOUT = re.compile(
    r"MANIFEST|policy|checkpoint|report\.html|report\.csv|verify_bundle\.py|archive\.json"
    r"|(?:checkpoints|consistency)/[0-9]+|(?:records|archived)/[0-9]+\.json|anchors/[0-9]+-[0-9]+\.tsr"
    r"|tile/(?:entries|[0-9]+)/(?:x[0-9]{3}/)*[0-9]{3}(?:\.p/[0-9]{1,3})?|flows/[0-9a-f]{64}\.json"
    rf"|entries/{_NAME}\.jsonl|(?:heads|payloads|sealed)/{_NAME}\.json|proofs/{_NAME}/[0-9]+\.tlog-proof"
)
"""The files of a bundle, and of an archive. Another one is checked by nothing, and may be what somebody opens."""


def read(path) -> "dict[str, bytes]":
    """Every file of the bundle by its name. Raises `Bad` for a zip file that is damaged, and for names that would be
    other files once they are extracted."""
    path = Path(path)
    if path.is_dir():
        found = {one.relative_to(path).as_posix(): one for one in sorted(path.rglob("*")) if one.is_file()}
        _refuse_names(found)
        return {name: one.read_bytes() for name, one in found.items()}
    try:
        with path.open("rb") as file:
            return _unpacked(file)
    except (Bad, OSError):
        raise
    except Exception as error:  # noqa: BLE001 (each way of packing has its own errors for what is damaged)
        raise Bad(f"the zip file cannot be read ({type(error).__name__}: {error})") from None


def _unpacked(file) -> "dict[str, bytes]":
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        # As they stand in the file: `filename` ends where a zero stands.
        _refuse_names([one.orig_filename[:-1] if one.is_dir() else one.orig_filename for one in infos])
        for one in infos:
            if stat.S_ISLNK(one.external_attr >> 16) or (one.is_dir() and one.file_size):
                raise Bad(f"the zip file has {one.filename!r}, which is neither a file nor a folder")
        _account_for(file, infos)
        return {one.filename: _contents(file, archive, one) for one in infos if not one.is_dir()}


EXTRA = {0x0001, 0x000A, 0x5455, 0x5855, 0x7875}
"""Of a file in a zip file: sizes of 64 bits, times and owners. Others, such as a second name, are refused."""


def _account_for(file, infos):
    """Every byte of the zip file is of a file that its directory lists, or of the directory, and each is listed as it
    stands there. Programs that unpack look in other places than this one: each must find the same."""
    here = 0
    for one in sorted(infos, key=lambda one: one.header_offset):
        if one.header_offset != here:
            raise _hidden(f"{abs(one.header_offset - here)} bytes before {one.filename!r} are in no file of it")
        here = _behind(file, one)
    file.seek(0, 2)
    end = file.tell()
    file.seek(here)
    tail = file.read(end - here)
    for one in infos:
        width = 46 + len(_name_of(one)) + len(one.extra) + len(one.comment)
        if one.comment or tail[:4] != b"PK\1\2":
            raise _hidden("its directory says more than the names of its files")
        tail = tail[width:]
    listed, wide = end - here - len(tail), b""
    if tail[:4] == b"PK\6\6" and len(tail) == 98:
        wide = struct.unpack("<QHHIIQQQQ", tail[4:56])
        if (wide[0], *wide[3:]) != (44, 0, 0, len(infos), len(infos), listed, here):
            raise _hidden("its directory is another than its end says")
        if struct.unpack("<4sIQI", tail[56:76]) != (b"PK\6\7", 0, here + listed, 1):
            raise _hidden("its directory is another than its end says")
        tail = tail[76:]
    if len(tail) != 22:
        raise _hidden(f"{abs(len(tail) - 22)} bytes behind its directory are in no file of it")
    said = struct.unpack("<4sHHHHIIH", tail)
    right = (b"PK\5\6", 0, 0, len(infos), len(infos), listed, here, 0)
    most = (b"", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)  # stand for numbers that are said before
    if any(found != one and not (wide and found == top) for found, one, top in zip(said, right, most)):
        raise _hidden("its directory is another than its end says")


def _behind(file, one):
    """Where the file's bytes end, whose own header says what the directory says."""
    file.seek(one.header_offset)
    signature, _, flags, packing, _, _, crc, packed, size, named, more = struct.unpack("<4s5H3I2H", file.read(30))
    name, extra = file.read(named), file.read(more)
    known = (b"PK\3\4", one.flag_bits, one.compress_type, _name_of(one))
    if (signature, flags, packing, name) != known or one.flag_bits & ~0x80E:
        raise _hidden(f"{one.filename!r} is another file where it stands than the directory says")
    wide = _extra_of(one.filename, extra)
    _extra_of(one.filename, one.extra)
    if 0xFFFFFFFF in (packed, size) and len(wide) == 16:
        size, packed = struct.unpack("<QQ", wide)
    sizes, here = (one.CRC, one.compress_size, one.file_size), file.tell() + one.compress_size
    if not flags & 8:
        if (crc, packed, size) != sizes:
            raise _hidden(f"{one.filename!r} is another file where it stands than the directory says")
        return here
    file.seek(here)
    after = file.read(24)
    for form in ("<4sIII", "<4sIQQ", "<III", "<IQQ"):
        said = struct.unpack(form, after[: struct.calcsize(form)]) if len(after) >= struct.calcsize(form) else ()
        if said == (*([b"PK\7\x08"] if "s" in form else []), *sizes):
            return here + struct.calcsize(form)
    raise _hidden(f"{one.filename!r} is another file where it stands than the directory says")


def _name_of(one):
    return one.orig_filename.encode("utf-8" if one.flag_bits & 0x800 else "cp437")


def _extra_of(name, extra):
    """The sizes of 64 bits among what a header has beside its fields."""
    wide = b""
    while extra:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind not in EXTRA or len(extra) < 4 + length:
            raise _hidden(f"{name!r} has a second name, or something else that not every program reads")
        wide = extra[4 : 4 + length] if kind == 1 else wide
        extra = extra[4 + length :]
    return wide


def _contents(file, archive, one):
    """The file's bytes, of which it has no more than the directory says."""
    data = archive.read(one)
    more = False
    if one.compress_type == zipfile.ZIP_STORED:
        more = one.compress_size != len(data)
    elif one.compress_type == zipfile.ZIP_DEFLATED:
        file.seek(one.header_offset + 26)
        file.seek(sum(struct.unpack("<HH", file.read(4))), 1)
        unpacking = zlib.decompressobj(-zlib.MAX_WBITS)
        more = unpacking.decompress(file.read(one.compress_size)) != data or bool(unpacking.unused_data)
    else:
        raise _hidden(f"{one.filename!r} is packed in a way that not every program reads")
    if more:
        raise _hidden(f"{one.filename!r} has more bytes than are unpacked")
    return data


def _hidden(what):
    return Bad(f"the zip file cannot be read ({what})")


def _refuse_names(names):
    """A file that is checked under one name, and extracted as another, would be read unchecked."""
    known = {}
    for name in names:
        parts = name.split("/")
        if re.search(r"[\x00-\x1f\x7f\\:]", name) or any(one in ("", ".", "..") or one[-1] in ". " for one in parts):
            raise Bad(f"a file is called {name!r}, which would be another file where it is extracted")
        same = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        if same in known:
            other = " twice" if known[same] == name else f" and {known[same]!r}, one file on many disks"
            raise Bad(f"the bundle has {name!r}{other}")
        known[same] = name


class Trust:
    """What the auditor brought along."""

    def __init__(
        self,
        keys=(),
        policy=None,
        heads=(),
        receipts=(),
        tsa_ca=None,
        not_before=None,
        writes_report=False,
        conversations=(),
        anchors=(),
        now=None,
    ) -> None:
        self.keys, self.policy, self.heads, self.anchors = list(keys), policy, list(heads), list(anchors)
        self.now = time.time() if now is None else now
        self.receipts, self.tsa_ca, self.not_before = list(receipts), tsa_ca, not_before
        self.writes_report, self.conversations = writes_report, list(conversations)


class Report:
    """What was found. `verdict` is the weakest that holds."""

    def __init__(self):
        self.faults, self.missing, self.says = [], [], []
        self.archived = 0
        self.entries = self.conversations = self.disclosed = self.withheld = self.erased = self.lost = self.size = 0
        self.level, self.seen, self.of = "SELF-ATTESTED", 0, 0
        self.readable, self.absent = "not looked at", []

    @property
    def verdict(self):
        return "BROKEN" if self.faults else "NOT SHOWN" if self.missing else self.level

    def __str__(self):
        if self.verdict == "WITNESSED":
            return f"WITNESSED({self.seen} of {self.of})"
        return self.verdict

    def document(self) -> dict[str, object]:
        return {
            "verdict": str(self), "faults": self.faults, "not_shown": self.missing, "says": self.says,
            "leaves": self.size, "entries": self.entries, "conversations": self.conversations,
            "texts_disclosed": self.disclosed, "texts_withheld": self.withheld, "texts_erased": self.erased,
            "texts_missing": self.lost,
            "report": self.readable, "archived": self.archived, "not_in_the_bundle": self.absent,
        }  # fmt: skip


NO_ML_DSA = (
    "ML-DSA-44 signatures were not looked at, and only Ed25519 was counted: the `cryptography` here has none "
    "(install 50 or newer)."
)


class Consulted(dict[str, bytes]):
    """Files by name, and which of them were looked at: what nothing looks at, nobody has checked."""

    def __init__(self, files) -> None:
        super().__init__(files)
        self.used: set[str] = set()

    def __getitem__(self, name) -> bytes:
        self.used.add(name)
        found: bytes = super().__getitem__(name)
        return found

    def get(self, name, default=None):
        if name in self:
            return self[name]
        return default


class Check:
    """One bundle, checked part by part. What goes wrong in a part is one fault; the other parts are still looked at."""

    def __init__(self, files, trust):
        self.files, self.trust, self.report = Consulted(files), trust, Report()
        self.levels = None  # of the whole tree, where the bundle holds all of it
        self.leaves = {}  # (stream, version) -> leaf hash, of what is in scope
        self.entries = {}  # stream -> its entries' values, in order
        self.records = []  # (index, number, value, leaf)
        self.keys = []
        self.eras = []  # (from which index, key) of a key rotation
        self.archived = {}  # stream -> (index, leaf hash) of its entries, which are in an archive

    def run(self):
        """Raises `WrongCall`."""
        self.belongs()
        for part in (self.opening, self.verifier, self.tree, self.rotations, self.signatures, self.chains,
                     self.complete, self.asked_for, self.archives, self.approvals, self.payloads, self.flows,
                     self.listed, self.readable, self.outside, self.receipts, self.attested, self.unread):  # fmt: skip
            try:
                part()
            except Bad as bad:
                self.report.faults.append(f"{part.__name__}: {bad}.")
            except NotShown as missing:
                self.report.missing.append(f"{missing}.")
            except (KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError, struct.error) as bug:
                self.report.faults.append(
                    f"{part.__name__}: a part is missing or malformed ({type(bug).__name__}: {bug})."
                )
            if part == self.opening and (self.report.faults or not self.keys):
                break
        return self.report

    def file(self, name):
        if name not in self.files:
            raise Bad(f"the bundle has no {name!r}")
        return self.files[name]

    def belongs(self):
        """What the auditor brought is of the log that the bundle is of. Raises `WrongCall` where it is not."""
        try:
            origin = Checkpoint(self.file("checkpoint")).origin
        except Bad:  # then the bundle is of no log; `opening` says so
            return
        mine = f"the bundle is of the log {origin!r}"
        named = {"key": self.trust.keys, "policy": self.trust.policy.logs if self.trust.policy else []}
        for what, keys in named.items():
            others = sorted({key.name for key in keys})
            if others and origin not in others:
                raise WrongCall(f"the {what} that you gave is for the log {', '.join(map(repr, others))}, and {mine}")
        for name, data in self.trust.receipts:
            other = origin_of(data)
            if other is None:
                raise WrongCall(f"{name} is no receipt")
            if other != origin:
                raise WrongCall(f"{name} is a receipt of the log {other!r}, and {mine}")
        for name, other in _origins(self.trust.heads):
            if other != origin:
                raise WrongCall(f"{name} is a checkpoint of the log {other!r}, and {mine}")
        others = [other for _, other in _origins(self.trust.anchors) if other != origin]
        if others and len(others) == len(self.trust.anchors):
            raise WrongCall(f"the anchors that you gave are of the log {others[0]!r}, and {mine}")
        if others:
            self.report.says.append(f"{counted(len(others), 'anchor')} of other logs that you gave: not looked at.")

    def opening(self):
        """The checkpoint, whose keys are trusted, and the manifest with every file's digest."""
        self.checkpoint = Checkpoint(self.file("checkpoint"))
        self.report.size, self.origin = self.checkpoint.size, self.checkpoint.origin
        own = Policy(self.file("policy").decode())
        given = self.trust.keys + (self.trust.policy.logs if self.trust.policy else [])
        self.keys = [key for key in given or own.logs if key.name == self.origin and key.kind != 4]
        witnesses = self.trust.policy.witnesses.values() if self.trust.policy else ()
        if not has_ml_dsa() and any(key.kind == ML_DSA for key in (*self.keys, *witnesses)):
            self._say_no_ml_dsa()
            self.keys = [key for key in self.keys if key.kind != ML_DSA]
            if not self.keys:
                raise NotShown("Only a key of ML-DSA-44 was given, which nothing here can check")
        self.named = bool(given)
        if not given:
            self._vouched_by_heads()
        if not self.keys:
            raise Bad(f"the bundle has no key of the log {self.origin!r}")
        manifest = Note(self.file("MANIFEST"))
        first, _, said = manifest.text.partition("\n")
        self.manifest = strict_json(said[:-1].encode())
        if first != MANIFEST or self.manifest["origin"] != self.origin:
            raise Bad("the manifest is of another log")
        _only(self.manifest, MANIFEST_FIELDS, "the manifest", may_lack={"report"})
        self._note_of_manifest = manifest
        digests = {name: sha256(data).hex() for name, data in self.files.items() if name != "MANIFEST"}
        if digests != self.manifest["files"]:
            names = sorted(
                n for n in {*digests, *self.manifest["files"]} if digests.get(n) != self.manifest["files"].get(n)
            )
            raise Bad(f"altered, missing or added: {', '.join(names[:5])}" + (" and more" if len(names) > 5 else ""))
        strange = sorted(name for name in self.files if not LAYOUT.fullmatch(name))
        if strange:
            raise Bad(f"files that no bundle has: {', '.join(strange[:5])}" + (" and more" if len(strange) > 5 else ""))
        if (self.manifest["size"], self.manifest["root"]) != (self.checkpoint.size, self.checkpoint.root.hex()):
            raise Bad("the manifest is of another checkpoint")
        self.whole = self.manifest["scope"] == "all"
        if not self.whole and self.manifest["scope"] != "conversations":
            raise Bad(f"the manifest is of {str(self.manifest['scope'])[:60]!r}, which is no part of a log")
        if any(line.lstrip().startswith("#") for line in self.files["policy"].decode().split("\n")):
            raise Bad("the policy has a comment, which nothing checks")

    def _vouched_by_heads(self):
        """Of the bundle's own keys, those count that signed a checkpoint which the auditor got elsewhere."""
        notes = []
        for _, data in self.trust.heads + self.trust.anchors:
            try:
                notes.append(Checkpoint(data))
            except Bad:  # `outside` says so
                continue
        signed = [key for key in self.keys if any(n.origin == self.origin and n.signed_by(key) for n in notes)]
        if signed:
            self.keys, self.named = signed, True

    def verifier(self):
        """The bundle's copy of this file is this very file, or nobody has checked it."""
        copy = self.files.get("verify_bundle.py")
        try:
            same = copy is None or copy == Path(__file__).read_bytes()
        except OSError:
            same = False
        if not same:
            self.report.says.append(
                "verify_bundle.py in the bundle is not the one that ran here, and was not checked: do not run it."
            )

    def _say_no_ml_dsa(self):
        if NO_ML_DSA not in self.report.says:
            self.report.says.append(NO_ML_DSA)

    # -- the tree ---------------------------------------------------------------------------------------

    def tree(self):
        if self.whole:
            self._whole_tree()
        else:
            self._proofs()

    def _whole_tree(self):
        hashes, size = [], self.checkpoint.size
        gone = self._gone()
        for first in range(0, size, 256):
            width = min(256, size - first)
            data, at = self.file(tile_path("entries", first // 256, width)), 0
            for index in range(first, first + width):
                (length,) = struct.unpack_from(">H", data, at)
                entry, at = data[at + 2 : at + 2 + length], at + 2 + length
                if at > len(data):
                    raise Bad(f"the entry at leaf {index} is cut off")
                if not length and index in gone:
                    tile = self.file(tile_path(0, first // 256, width))
                    hashes.append(tile[32 * (index - first) : 32 * (index - first) + 32])
                    self.archived.setdefault(gone[index], []).append((index, hashes[-1]))
                    continue
                if not length:
                    raise Bad(f"the entry at leaf {index} is gone, and no archive is said to have it")
                hashes.append(leaf_of(entry))
                self._take(index, entry, hashes[-1])
            if at != len(data):
                raise Bad(f"there is more than {width} entries in a tile")
        self.levels = levels_of(hashes)
        if root_at(self.levels, size) != self.checkpoint.root:
            raise Bad("the entries are not those of the checkpoint: its root is another")
        for level in range(0, len(self.levels), 8):
            nodes = self.levels[level]
            for first in range(0, len(nodes), 256):
                part = nodes[first : first + 256]
                if self.file(tile_path(level // 8, first // 256, len(part))) != b"".join(part):
                    raise Bad(f"tile {level // 8}/{first // 256} is not that of the entries")

    def _gone(self):
        """Whose entry each leaf was of which the bundle has the hash alone, for the entry is in an archive."""
        gone = {}
        for name in sorted(n for n in self.files if n.startswith("archived/")):
            for one in strict_json(self.files[name]):
                for index in one["leaves"]:
                    if index in gone:
                        raise Bad(f"leaf {index} is said to be archived twice")
                    gone[index] = one["stream"]
        return gone

    def _proofs(self):
        for stream in self.manifest["conversations"]:
            entries = self.file(f"entries/{file_name(stream)}.jsonl").split(b"\n")
            if entries.pop() != b"" or not entries:
                raise Bad(f"the entries of {stream!r} do not end")
            for version, entry in enumerate(entries):
                index = self._proved(entry, f"proofs/{file_name(stream)}/{version}.tlog-proof")
                self._take(index, entry, leaf_of(entry))
            if len(self.entries[stream]) != len(entries):
                raise Bad(f"the entries of {stream!r} are of other conversations too")
        for name in sorted(self.files):
            if name.startswith("records/"):
                number = name[8:-5]
                entry = self.files[name]
                if entry_value(entry).get("record") != int(number):
                    raise Bad(f"{name} is another record")
                self._take(self._proved(entry, f"proofs/records/{number}.tlog-proof"), entry, leaf_of(entry))

    def _proved(self, entry, name):
        head, _, note = self.file(name).partition(b"\n\n")
        lines = head.decode().split("\n")
        index = re.fullmatch(r"index (0|[1-9][0-9]*)", lines[1])
        if lines[0] != "c2sp.org/tlog-proof@v1" or not index:
            raise Bad(f"{name} is no tlog-proof")
        shown = Checkpoint(note)
        if shown.text != self.checkpoint.text:
            raise Bad(f"{name} is for another checkpoint")
        proof = [unbase64(line) for line in lines[2:]]
        if not included(leaf_of(entry), int(index[1]), shown.size, proof, shown.root):
            raise Bad(f"{name} does not prove its entry")
        return int(index[1])

    def _take(self, index, entry, leaf):
        try:
            value = entry_value(entry)
            if value["log"] != self.origin or value["v"] != 1:
                raise Bad("it is of another log")
            if "record" in value:
                self.records.append((index, value["record"], value, leaf))
                return
            stream, version = value["stream"], value["ver"]
        except (Bad, KeyError, TypeError) as bad:
            raise Bad(f"the entry at leaf {index}: {bad}") from None
        if not self.whole and stream not in self.manifest["conversations"]:
            raise Bad(f"the entry at leaf {index} is of a conversation that was not asked for")
        mine = self.entries.setdefault(stream, [])
        if version != len(mine):
            raise Bad(f"{stream} has version {version} where {len(mine)} belongs (leaf {index})")
        if mine and mine[-1][0] >= index:
            raise Bad(f"{stream} version {version} stands before the one before it")
        mine.append((index, value, leaf))
        self.report.entries += 1

    # -- who signed ---------------------------------------------------------------------------------------

    def rotations(self):
        """The log's keys, from those given. Where these lead nowhere, the rest is checked by the bundle's own."""
        left = self._led_by(self.keys)
        known = {(self.origin, key.id) for _, key in self.eras}
        if left is None and any((name, key_id) in known for name, key_id, _ in self.checkpoint.signatures):
            return
        given, own = self.eras, [key for key in Policy(self.file("policy").decode()).logs if key.name == self.origin]
        own = [key for key in own if key.kind != 4 and (key.kind != ML_DSA or has_ml_dsa())]
        known = {key.public for _, key in given}
        if not any(key.public in known for key in own) and self._led_by(own) is None:
            if self.signed_in_time(self.checkpoint, self.checkpoint.size):
                self.keys = own
                raise NotShown(
                    f"The bundle is signed with {own[0].text}, which is none of the keys that you gave, and no "
                    "change of keys in it leads to them: it was made before such a change, or by somebody else. "
                    "Everything was checked with this key alone: give it if you trust it, or ask for a newer bundle"
                )
        self.eras = given
        if left is not None:
            raise Bad(f"the key rotation at leaf {left} is between keys that you do not know")

    def _led_by(self, keys):
        """Keys follow one another by statements that both have signed, each a record in the tree: forwards and back.
        The leaf of a statement that leads to none of them, if there is one."""
        self.eras = [(0, key) for key in keys]
        left = [(index, value) for index, _, value, _ in sorted(self.records) if value["type"] == "key_rotated"]
        while left:
            later = [(index, value) for index, value in left if not self._handed_over(index, value)]
            if len(later) == len(left):
                return left[0][0]
            left = later
        return None

    def _handed_over(self, index, value):
        """Whether the keys of one statement are known now. Of every algorithm that is known, it is the known key."""
        note = Note(value["data"]["statement"].encode())
        first, origin, *lines = note.text[:-1].split("\n")
        both = [[Key(one) for one in line.split(" ")] for line in lines]
        kinds = [[key.kind for key in keys] for keys in both]
        wanted = ROTATION if kinds == [[1], [1]] else ROTATION_OF_SEVERAL
        good = (first, origin) == (wanted, self.origin) and len(both) == 2 and all(k in ([1], [1, 6]) for k in kinds)
        checked = [[key for key in keys if key.kind != ML_DSA or has_ml_dsa()] for keys in both]
        if not good or not all(note.signed_by(key) and key.name == origin for keys in checked for key in keys):
            raise Bad(f"the key rotation at leaf {index} is not signed by both keys")
        if checked != both:
            self._say_no_ml_dsa()
        known = {key.public for _, key in self.eras}
        here = {key.kind for key in self.in_force(index + 1)}
        if not any(all(any(k.kind == kind and k.public in known for k in keys) for kind in here) for keys in checked):
            return False
        old, new = checked
        begun = {key.public: at for at, key in self.eras}
        self.eras = [one for one in self.eras if one[1].public not in {key.public for key in old + new}]
        self.eras += [(begun.get(key.public, 0), key) for key in old] + [(index, key) for key in new]
        return True

    def in_force(self, size):
        """The keys that sign a tree of this size."""
        begun = [at for at, _ in self.eras if at < size]
        return [key for at, key in self.eras if begun and at == max(begun)]

    def signed_in_time(self, note, size):
        """Whether the keys that were in force for a tree of this size signed the note."""
        return vouched(note, self.in_force(size))

    def signatures(self):
        self.eras = self.eras or [(0, key) for key in self.keys]
        for name in ["checkpoint", *sorted(n for n in self.files if n.startswith("checkpoints/"))]:
            one = Checkpoint(self.files[name])
            if one.origin != self.origin or not self.signed_in_time(one, one.size):
                raise Bad(f"{name} (size {one.size}) is not signed with the log's key")
            self._extends(one, name)
        if not self.signed_in_time(self._note_of_manifest, self.checkpoint.size):
            raise Bad("the manifest is not signed with the log's key")

    def _extends(self, one, name):
        """The bundle's tree begins with that of the checkpoint."""
        if one.size > self.checkpoint.size:
            raise Bad(
                f"{name} was signed for {one.size} leaves, and this bundle ends at {self.checkpoint.size}: "
                "the log was cut, or an older state of it is shown"
            )
        if self.levels is not None:
            if root_at(self.levels, one.size) != one.root:
                raise Bad(f"{name} (size {one.size}) is of another tree: the log was rewritten, or has forked")
            return
        if one.size == self.checkpoint.size:
            proof = []
        elif f"consistency/{one.size}" in self.files:
            proof = [unbase64(line) for line in self.files[f"consistency/{one.size}"].decode().split("\n") if line]
        else:
            raise NotShown(
                f"Whether the log extends {name} (size {one.size}) is not in the bundle: "
                "ask for one made with `--since` that file"
            )
        if not consistent(one.size, self.checkpoint.size, proof, one.root, self.checkpoint.root):
            raise Bad(f"{name} (size {one.size}) is of another tree: the log was rewritten, or has forked")

    # -- what was logged ----------------------------------------------------------------------------------

    def chains(self):
        """Each entry holds the leaf of the one before it."""
        self.report.conversations = len(self.entries)
        for stream, entries in self.entries.items():
            previous = None
            for version, (_, value, leaf) in enumerate(entries):
                if value.get("prev") != previous:
                    raise Bad(f"{stream} version {version} does not follow from the one before it")
                previous = leaf.hex()
        if self.whole:
            previous = None
            for expected, (index, number, value, leaf) in enumerate(sorted(self.records)):
                if number != expected or value.get("prev") != previous:
                    raise Bad(f"the record at leaf {index} does not follow from the one before it")
                previous = leaf.hex()

    def complete(self):
        """Every conversation in scope is there to its end."""
        heads = [
            (index, value["data"]) for index, _, value, _ in sorted(self.records) if value["type"] == "heads_taken"
        ]
        if self.whole:
            if set(self.manifest["conversations"]) != set(self.entries):
                raise Bad("the manifest names other conversations than there are")
            self._all_heads(heads)
            return
        if not heads:
            raise Bad("there is no record of where the conversations end")
        index, last = heads[-1]
        if index != last["leaves"] or index != self.checkpoint.size - 1:
            raise Bad("the record of where the conversations end is not the checkpoint's last leaf")
        for stream in self.manifest["conversations"]:
            said = strict_json(self.file(f"heads/{file_name(stream)}.json"))
            _only(said, {"proof"}, f"heads/{file_name(stream)}.json")
            version, leaf = len(self.entries[stream]) - 1, self.entries[stream][-1][2]
            proof = [bytes.fromhex(one) for one in said["proof"]]
            if not is_head(stream, version, leaf, proof, bytes.fromhex(last["root"])):
                raise Bad(f"{stream} is not complete: version {version} is not where the log says that it ends")

    def asked_for(self):
        """Conversations that belong to those here and are not: a child, a parent, where a fork comes from. Then those
        that the auditor asked for."""
        for stream, entries in sorted(self.entries.items()):
            for version, (_, value, _) in enumerate(entries):
                for what, other in relatives(value):
                    if other not in self.entries and other not in self.archived:
                        self.report.absent.append(other)
                        self.report.says.append(
                            f"{what} of {stream} (event {version}), {other}, is not in this bundle"
                            + (": the log has no entry of it." if self.whole else ".")
                        )
        for one in self.trust.conversations:
            if one not in self.entries:
                raise NotShown(f"The conversation {one} is not in this bundle" + (
                    f", nor in the log up to leaf {self.checkpoint.size}" if self.whole else ""))  # fmt: skip

    def _all_heads(self, heads):
        """Every map of heads that the log committed to, built again from the entries before it."""
        todo = sum(index for index, _ in heads)
        chosen = heads if todo <= MOST_MAP_HASHES else heads[-1:]
        if len(chosen) < len(heads):
            self.report.says.append(f"Of {len(heads)} maps of heads, only the last was built again.")
        places = sorted(
            (index, stream, version, leaf)
            for stream, entries in self.entries.items()
            for version, (index, _, leaf) in enumerate(entries)
        )
        places += [
            (index, stream, version, leaf)
            for stream, leaves in self.archived.items()
            for version, (index, leaf) in enumerate(leaves)
        ]
        places.sort()
        ends, at = {}, 0
        for index, said in chosen:
            while at < len(places) and places[at][0] < index:
                ends[places[at][1]] = places[at][2:]
                at += 1
            found = map_root([map_leaf(stream, *end) for stream, end in ends.items()])[1]
            if (found.hex(), len(ends), index) != (said["root"], said["conversations"], said["leaves"]):
                raise Bad(f"the map of heads at leaf {index} is not that of the entries before it")

    def archives(self):
        """What is gone is what records of the log list, under statements that the log's key of that time signed."""
        if not self.whole:
            return
        records = {number: (index, value) for index, number, value, _ in self.records}
        named = set()
        for name in sorted(n for n in self.files if n.startswith("archived/")):
            listing = strict_json(self.files[name])
            index, value = records[int(name[9:-5])]
            if value["type"] != "segment_pruned":
                raise Bad(f"{name} is of a record that says nothing of an archive: entries were deleted")
            self._archive(name, index, value["data"], listing)
            named |= {one["stream"] for one in listing}
        if set(self.archived) - named or set(self.archived) & set(self.entries):
            raise Bad("entries are gone that no archive is said to have")

    def _archive(self, name, index, said, listing):
        kept = [{key: part for key, part in one.items() if key != "leaves"} for one in listing]
        text = json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        if sha256(text.encode()).hex() != said["listing"]:
            raise Bad(
                f"{name} lists other conversations than the log's record: entries were deleted that it does not name"
            )
        note = Note(said["statement"].encode())
        lines = [PRUNE, self.origin, said["archive"], said["manifest"], said["listing"], str(said["size"]), ""]
        if note.text.split("\n") != lines or not self.signed_in_time(note, index + 1):
            raise Bad(f"that entries were archived in {said['archive']!r} is not signed with the log's key")
        for one in listing:
            mine = self.archived.get(one["stream"], [])
            if len(mine) != one["length"] or mine[-1][1].hex() != one["leaf"]:
                raise Bad(f"{one['stream']} is said to be archived, and ends elsewhere in the tree")
        entries = sum(one["length"] for one in listing)
        self.report.archived += entries
        self.report.says.append(
            f"{entries} entries of {len(listing)} conversations are in the archive {said['archive']}, and were not "
            f"looked at here. Check it on its own; its MANIFEST has the SHA-256 {said['manifest']}."
        )

    def approvals(self):
        """A signed decision is signed over the entry that opened its task, by a key that the log names for the person.
        One that needs a signature has it. What a fork took over was signed in its parent, and is checked there."""
        for stream, entries in self.entries.items():
            forks = entries[0][1]["data"].get("forks") or [{"version": 0}]
            for version, (index, value, _) in enumerate(entries):
                if value["type"] not in ("task_decided", "task_endorsed"):
                    continue
                if version < forks[-1]["version"]:
                    said = f"The decision {stream} version {version} was taken over by a fork from "
                    self.report.says.append(f"{said}{forks[-1]['conversation']}: who signed it is checked there alone.")
                    continue
                signed, opened = value["data"].get("signed"), entries[value["data"]["task"]][1]["data"]
                if signed is not None:
                    self._approval(stream, version, index, value, signed)
                elif opened.get("signed") and value["data"]["decision"] == opened.get("approves"):
                    raise Bad(f"{stream} version {version} approves without a signature, and its task asks for one")

    def _approval(self, stream, version, index, value, signed):
        where = f"the signature under {stream} version {version}"
        task = value["data"]["task"]
        said = (signed["conversation"], signed["task"], signed["decision"], signed["action"])
        if said != (stream, task, value["data"]["decision"], self.entries[stream][task][2].hex()):
            raise Bad(f"{where} is under another decision")
        fields = {name: part for name, part in signed.items() if name != "signature"}
        message = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if not ed25519(bytes.fromhex(signed["key"]), bytes.fromhex(signed["signature"]), APPROVAL + message):
            raise Bad(f"{where} does not hold")
        if not signed["signed_at"] <= value["at"] < signed["expires"]:
            raise Bad(f"{where} had expired")
        named = self._named_then(signed["person"], index)
        if not named and not self.whole:
            self.report.says.append(f"Whose key made {where} is not shown: no record of {signed['person']} is here.")
            return
        mine = [one for one in named if one.get("key") == signed["key"]]
        if not mine:
            raise Bad(f"{where} is by a key that the log does not name for {signed['person']}")
        accounts = {account.casefold() for one in mine for account in (signed["person"], *one.get("accounts", ()))}
        if value["actor"]["id"].casefold() not in accounts:
            raise Bad(f"{where} is {signed['person']}'s, and somebody else decided")

    def _named_then(self, person, place):
        """What records say of the keys that the person may have signed with before the entry at that place. Clocks say
        nothing of order. A record that was there has a lower place; one at a lower place was there for certain once a
        checkpoint that it begins with (`heads_taken`) stands between, for records get their places first."""
        named = [(index, one["data"]) for index, _, one, _ in sorted(self.records)
                 if one["type"] == "approver_named" and one["data"]["person"] == person and index < place]  # fmt: skip
        taken = [index for index, _, one, _ in self.records if one["type"] == "heads_taken" and index < place]
        follows = [index for index, _ in named[1:]]
        over = [any(index < at for at in taken) for index in follows] + [False]
        return [data for (_, data), is_over in zip(named, over) if not is_over]

    def payloads(self):
        """Every text that an entry commits to is disclosed and fits, or is said to be withheld, or erased as the log
        records it."""
        self.erasures = Erasures(self.records)
        for stream, entries in self.entries.items():
            wanted = {}
            for _, value, _ in entries:
                for ref in refs(value["data"]):
                    wanted.setdefault((value["cause"], ref["name"]), ref)
            name = f"payloads/{file_name(stream)}.json"
            shown = strict_json(self.file(name)) if wanted or name in self.files else []
            if sorted((one["version"], one["name"]) for one in shown) != sorted(wanted):
                raise Bad(f"{name} lists other texts than the entries commit to")
            for one in shown:
                self._payload(stream, one, wanted[one["version"], one["name"]])
        if self.erasures.too_many():
            self._lose(f"{len(self.erasures.taken)} texts are called erased by retention, and fewer are on the record")
        for parent, count in sorted(self.erasures.inherited.items()):
            self.report.says.append(
                f"{counted(count, 'text')} that a fork took over from {parent} {'is' if count == 1 else 'are'} called "
                "erased: whether that is on the record, a bundle with that conversation shows."
            )

    def _lose(self, what):
        """A text that is gone, and nothing on the record says why."""
        self.report.faults.append(f"payloads: {what}.")

    def _is_erased(self, stream, version, name):
        """Whether the log says that this text was erased: in the conversation, in its records, or in the conversation
        that a fork took it over from, which is judged itself."""
        entries = [value for _, value, _ in self.entries[stream]]
        if version < len(entries) and self.erasures.account(stream, entries, version, name):
            return True
        forks = entries[0]["data"].get("forks") or ()
        parent = forks[-1]["conversation"] if forks and version < max(forks[-1]["version"], 1) else None
        if parent is None or parent in self.archived:
            return parent is not None
        if parent in self.entries:
            texts = json.loads(self.files.get(f"payloads/{file_name(parent)}.json", b"[]"))
            gone = {(one["version"], one["name"]) for one in texts if one.get("not_disclosed") in ("erased", "missing")}
            return (version, name) in gone
        if not self.whole:
            self.erasures.inherited[parent] = self.erasures.inherited.get(parent, 0) + 1
        return not self.whole

    def _payload(self, stream, one, ref):
        where = f"the text {one['name']!r} of {stream} version {one['version']}"
        _only(one, {*REF, "version", *(("plaintext", "r") if "plaintext" in one else ("not_disclosed",))}, where)
        if (one["commit"], one["kind"], one["length"]) != (ref["commit"], ref["kind"], ref["length"]):
            raise Bad(f"{where} is listed otherwise than its entry says")
        if "plaintext" not in one:
            if one.get("not_disclosed") == "missing":
                self.report.lost += 1
                self._lose(f"{where} is missing, and no erasure of it is recorded")
                return
            if one.get("not_disclosed") not in ("withheld", "erased"):
                raise Bad(f"{where} is neither disclosed nor said to be withheld or erased")
            if one["not_disclosed"] == "withheld":
                self.report.withheld += 1
            elif self._is_erased(stream, one["version"], one["name"]):
                self.report.erased += 1
            else:
                self.report.lost += 1
                self._lose(f"{where} is called erased, and no erasure of it is recorded: it is missing, or withheld")
            return
        plaintext, r = unbase64(one["plaintext"]), bytes.fromhex(one["r"])
        if len(plaintext) != ref["length"] or hmac.new(r, plaintext, hashlib.sha256).hexdigest() != ref["commit"]:
            raise Bad(f"{where} is not the one that was committed to")
        self.report.disclosed += 1

    def flows(self):
        """The flow that each conversation ran on is there, under its digest; one that was imported ran on none."""
        for stream, entries in self.entries.items():
            imported = entries[0][1]["type"] == "conversation_imported"
            for digest in {value["flow"] for _, value, _ in entries}:
                if imported and digest == NO_FLOW:
                    continue
                if sha256(self.file(f"flows/{digest}.json")).hex() != digest:
                    raise Bad(f"the flow {digest[:12]} of {stream} is not the one with that digest")

    def listed(self):
        """What an archive says of its conversations, and that it holds the texts which it lists as withheld."""
        if "archive.json" in self.files:
            try:
                said = strict_json(self.files["archive.json"])
            except Bad as bad:
                raise Bad(f"archive.json: {bad}") from None
            _only(said, {"archive", "conversations"}, "archive.json")
            if [one["stream"] for one in said["conversations"]] != sorted(self.manifest["conversations"]):
                raise Bad("archive.json lists other conversations than there are")
            for one in said["conversations"]:
                self._listed(one, self.entries[one["stream"]])
        for stream in self.entries:
            if (name := f"sealed/{file_name(stream)}.json") in self.files:
                self._sealed(name, strict_json(self.file(f"payloads/{file_name(stream)}.json")))

    def _listed(self, one, entries):
        first, last = entries[0][1], entries[-1][1]
        right = {"stream": first["stream"], "length": len(entries), "leaf": entries[-1][2].hex(),
                 "subject": first["data"].get("subject", ""), "started": first["at"], "updated": last["at"],
                 "flow": "", "state": ""}  # fmt: skip
        for _, value, _ in entries:
            if value["type"] in ("conversation_started", "flow_changed"):
                right |= {"flow": value["data"]["flow"]["name"], "state": value["data"]["state"]}
            elif value["type"] == "transition_taken":
                right["state"] = value["data"]["target"]
        if first["type"] != "conversation_started":  # no flow led it
            right |= {name: one[name] for name in ("flow", "state")} | {"subject": right["subject"] or one["subject"]}
        if one != right:
            wrong = ", ".join(sorted(name for name in {*one, *right} if one.get(name) != right.get(name)))
            raise Bad(f"archive.json says something else of {right['stream']} than its entries: {wrong}")

    def _sealed(self, name, listed):
        """Texts under their people's keys: nobody can read them here, and each has the length of the one it seals."""
        wanted = {(one["version"], one["name"]): one for one in listed if one.get("not_disclosed") == "withheld"}
        sealed = strict_json(self.files[name])
        if [(one["version"], one["name"]) for one in sealed] != sorted(wanted):
            raise Bad(f"{name} holds other texts than are listed as withheld")
        for one in sealed:
            _only(one, {"body", "key", "kind", "name", "nonce", "version"}, f"the text {one['name']!r} in {name}")
            ref, length = (
                wanted[one["version"], one["name"]],
                len(unbase64(one["body"])) - 48,
            )  # random bytes, and a tag
            if (one["kind"], length) != (ref["kind"], ref["length"]) or not re.fullmatch(r"[0-9a-f]{24}", one["nonce"]):
                raise Bad(f"the text {one['name']!r} in {name} is another than the one that is listed")

    def unread(self):
        """There is no file that nothing above has looked at: its name would vouch for it."""
        if self.report.faults:  # then parts were left early
            return
        for name in sorted(n for n in self.files if n.startswith("consistency/") and n not in self.files.used):
            self._extension(name)
        left = sorted({*self.files} - self.files.used)
        if left:
            more = f" and {len(left) - 5} more" if len(left) > 5 else ""
            raise Bad(
                f"files that nothing in the bundle asks for, so that nobody checked them: {', '.join(left[:5])}{more}"
            )

    def _extension(self, name):
        """A proof for a checkpoint that somebody else has: what can be seen of it without that."""
        size, now = int(name[12:]), self.checkpoint.size
        proof = [unbase64(line) for line in self.files[name].decode().split("\n")[:-1]]
        alone = size & (size - 1) == 0  # its first hash is the root that the other checkpoint has
        known = root_at(self.levels, size) if self.levels is not None and size <= now else None
        path = [known or bytes(32), *proof] if alone else proof
        found = roots_of(size, now, path) if 0 < size < now and name == f"consistency/{size}" else None
        lines = "".join(f"{base64.b64encode(one).decode()}\n" for one in proof)
        right = found and (found[1] == self.checkpoint.root or (alone and known is None))
        if (
            not right
            or known not in (None, found[0])
            or lines.encode() != self.files[name]
            or {*map(len, proof)} != {32}
        ):
            raise Bad(f"{name} is no proof that the log extends a checkpoint of that size")

    def written(self) -> Readable:
        """The readable report, from the entries, the disclosed texts and the flows of this bundle."""
        flows = {
            name[6:-5]: json.loads(data) for name, data in self.files.items() if re.fullmatch(r"flows/\w+\.json", name)
        }
        conversations = []
        for stream, entries in self.entries.items():
            texts = json.loads(self.files.get(f"payloads/{file_name(stream)}.json", b"[]"))
            conversations.append(Conversation(stream, [(value, leaf) for _, value, leaf in entries], texts, flows))
        records = [(value, leaf) for _, _, value, leaf in self.records]
        return Readable(self.checkpoint, self.manifest["scope"], self.manifest["disclosed"], conversations, records)

    def readable(self):
        """The files for people say what the entries say, to the byte."""
        there = [name for name in ("report.csv", "report.html") if name in self.files]
        if not there or self.report.faults:  # of entries that do not hold, no report is right
            self.report.readable = "not looked at" if there else "none"
            if self.manifest.get("report") and not there:
                self.report.readable = "missing"
                if not self.report.faults:
                    raise Bad("the manifest tells of a report, and neither report.html nor report.csv is there")
            return
        if self.manifest.get("report") != REPORT:
            self.report.readable = "not checked"
            self.files.used.update(there)
            told = f"{' and '.join(there)} are not of the form that this verifier writes ({REPORT})"
            if not self.trust.writes_report:
                raise NotShown(f"{told}: do not read them, and let --report FILE write one")
            self.report.says.append(f"{told}, and were not checked: read the one that was written here.")
            return
        self.report.readable = "differs"
        written = self.written()
        for name, data in (("report.csv", written.csv()), ("report.html", written.html())):
            found = self.file(name)
            if found != data:
                raise Bad(f"{name} does not say what the entries say: {_first_difference(found, data)}")
        self.report.readable = "agrees"

    # -- what the auditor brought ----------------------------------------------------------------------------

    def outside(self):
        """Checkpoints from elsewhere: the bundle's tree must extend each of them that is not newer."""
        self.anchored = self.headed = 0
        given = [(name, Checkpoint(data)) for name, data in self.trust.heads + self.trust.anchors]
        newer = {name: one.size for name, one in given if one.size > self.checkpoint.size and one.origin == self.origin}
        for name, one in given:
            if one.origin != self.origin or name in newer:
                continue
            if not self.signed_in_time(one, one.size):
                raise Bad(f"{name} (size {one.size}) is not signed with the log's key")
            try:
                self._extends(one, name)
            except NotShown as missing:  # the others are still to be looked at
                self.report.missing.append(f"{missing}.")
                continue
            self.anchored = self.headed = max(self.anchored, one.size)
        self._told_newer(newer)
        for name in sorted(self.files):
            if name.startswith("anchors/") and name.endswith(".tsr"):
                self._stamped(name)

    def _told_newer(self, newer):
        """A bundle is older than what was anchored since, an archive always. Which is not for it to answer: of a
        checkpoint that was named, that is not shown; of a folder, which grows, it is said."""
        ends = f"newer than this bundle, which ends at {self.checkpoint.size}"
        for name, _ in self.trust.heads:
            if name in newer:
                self.report.missing.append(
                    f"{name} (size {newer[name]}) is {ends}: an older state of the log is shown, or it was cut. Ask "
                    "for a bundle made since."
                )
        several = [newer[name] for name, _ in self.trust.anchors if name in newer]
        if several:
            self.report.says.append(
                f"{counted(len(several), 'anchor is', 'anchors are')} {ends} (up to {max(several)}), and not covered: "
                "for what was logged since, ask for a bundle made since."
            )

    def _stamped(self, name):
        size = int(name[8:].split("-")[0])
        known = {"checkpoint": self.checkpoint} | {
            n: Checkpoint(self.files[n]) for n in self.files if n.startswith("checkpoints/")
        }
        text = next((one.text for one in known.values() if one.size == size), None)
        if text is None:
            raise Bad(f"{name} is over a checkpoint that is not in the bundle")
        if not any(hashlib.new(one, text.encode()).digest() in self.files[name] for one in STAMPED):
            raise Bad(f"{name} is no time stamp of the checkpoint of size {size}")
        if self.trust.tsa_ca is None:
            self.report.says.append(f"{name} was not looked at: give --tsa-ca with the authority's certificates.")
            return
        try:
            import rfc3161_client as rfc3161
            from cryptography import x509
        except ImportError:
            self.report.says.append(f"{name} was not looked at: install rfc3161-client to check time stamps.")
            return
        builder = rfc3161.VerifierBuilder()
        for certificate in x509.load_pem_x509_certificates(self.trust.tsa_ca):
            builder = builder.add_root_certificate(certificate)
        try:
            stamp = rfc3161.decode_timestamp_response(self.files[name])
            builder.build().verify_message(stamp, text.encode())
        except (rfc3161.VerificationError, ValueError) as bad:
            raise Bad(f"the time stamp {name} does not hold ({bad})") from None
        self.report.says.append(
            f"{name}: the checkpoint of size {size} existed at {stamp.tst_info.gen_time.isoformat()}."
        )
        self.anchored = max(self.anchored, size)

    def receipts(self):
        """Every receipt's entry is in the tree, at its place."""
        for name, data in self.trust.receipts:
            note = Note(data)
            first, origin, stream, version, leaf, _ = note.text[:-1].split("\n")
            if first != RECEIPT or origin != self.origin or not self._receipt_signed(note, name):
                raise Bad(f"{name} is no receipt that this log signed")
            if stream not in self.entries and not self.whole:
                raise NotShown(
                    f"{name} is of the conversation {stream}, which is not in this bundle: ask for one that holds it"
                )
            leaves = [one[-1] for one in self.entries.get(stream) or sorted(self.archived.get(stream, []))]
            if int(version) >= len(leaves) or leaves[int(version)] != unbase64(leaf):
                raise Bad(f"the entry that {name} promises ({stream} version {version}) is not in the log")

    def _receipt_signed(self, note, name):
        """Whether Ed25519 holds, and each line of ML-DSA-44 too where its key is known."""
        known = [key for _, key in self.eras]
        good = {key.text_id: key.kind for key in known if note.signed_by(key)}
        kinds = {key.kind for key in known}
        if not kinds or min(kinds) not in good.values():
            return False
        if ML_DSA not in kinds:
            return True
        others = [key_id for who, key_id, line in note.signatures if who == self.origin and len(line) != 64]
        if not others:
            self.report.says.append(
                f"{name} is signed with Ed25519 alone, as a receipt is that is handed back at once."
            )
        return all(key_id in good for key_id in others)

    def attested(self):
        """The weakest of what covers the whole tree."""
        policy = self.trust.policy
        seen = {}
        for name, key in (policy.witnesses if policy else {}).items():
            times = self.checkpoint.cosigned_times(key)
            ahead = [one for one in times if one > self.trust.now + AHEAD]
            if ahead:
                self.report.says.append(
                    f"Witness {name} signed with a time that has not come ({ahead[0]} s after 1970): not counted."
                )
            at = max((one for one in times if one not in ahead), default=0)
            if at and (self.trust.not_before is None or at >= self.trust.not_before):
                seen[name] = at
                self.report.says.append(
                    f"Witness {name} saw it at {datetime.fromtimestamp(at, timezone.utc).isoformat()}."
                )
        if 0 < self.anchored < self.checkpoint.size:
            self.report.says.append(f"Anchored up to leaf {self.anchored} of {self.checkpoint.size}.")
        given = self.trust.keys or (policy and policy.logs)
        if policy and policy.quorum != "none" and policy.met(seen):
            self.report.level, self.report.seen, self.report.of = "WITNESSED", len(seen), len(policy.witnesses)
            vouch = "the witnesses that you named vouch for its head"
        elif self.anchored == self.checkpoint.size and (self.named or self.headed == self.checkpoint.size):
            self.report.level, vouch = "ANCHORED", "the checkpoint that you got elsewhere vouches for its head"
        elif self.named:
            vouch = "it was checked with the one that signed the checkpoint which you got elsewhere"
        else:
            raise NotShown(
                "Everything fits together by the bundle's own key, which does not show whose it is: give the log's key "
                "(--key, or a log line of your --policy), a checkpoint that you got elsewhere (--head), or a --policy "
                "whose witnesses have seen this one"
            )
        if not given:
            self.report.says.append(f"You gave no key of the log {self.origin!r}: {vouch}.")


class Erasures:
    """What the log's records say of texts that are gone: which people were erased, and what retention took."""

    def __init__(self, records) -> None:
        acts = [(number, value, leaf) for _, number, value, leaf in sorted(records, key=lambda one: one[1])]
        asked = {number: (value["data"]["subject"], leaf.hex())
                 for number, value, leaf in acts if value["type"] == "erasure_asked"}  # fmt: skip
        self.requests = {leaf: subject for subject, leaf in asked.values()}
        self.done, self.named, self.counts = {}, {}, []
        for _, value, _ in acts:
            at, data = value["at"], value["data"]
            if value["type"] == "erasure_done" and data["request"] in asked:
                self.done[asked[data["request"]][0]] = at
            elif value["type"] == "texts_pruned" and data.get("texts"):
                self.named.update(dict.fromkeys(data["texts"], at))
            elif value["type"] == "texts_pruned":
                self.counts.append((at, data["payloads"]))
        self.taken: list[str] = []
        self.inherited: dict[str, int] = {}

    def account(self, stream, entries, version, name):
        """Whether a record accounts for the text: by an `erased` entry behind it in the conversation, which names the
        request, by an erasure that was complete later, or as one that retention took."""
        subject = entries[0]["data"].get("subject", "")
        erased = [value for value in entries if value["type"] == "erased"]
        requests = {leaf for leaf, whose in self.requests.items() if whose == subject}
        if any(one["ver"] > version and one["data"]["request"] in requests for one in erased):
            return True
        if not erased and entries[version]["at"] <= self.done.get(subject, ""):
            return True
        if not any(one["type"] in ("conversation_ended", "conversation_imported") for one in entries):
            return False
        since = _a_day_after(max(one["at"] for one in entries[: version + 1]))
        place = f"{PRUNED_TEXT}\n{stream}\n{version}\n{name}".encode("utf-8", "surrogatepass")
        if self.named.get(sha256(place).hex()[:32], "") > since:
            return True
        if any(at > since for at, _ in self.counts):
            self.taken.append(since)
            return True
        return False

    def too_many(self):
        """Whether more texts are gone than the records say that do not name them."""
        room, counts = 0, sorted(self.counts)
        for number, since in enumerate(sorted(self.taken, reverse=True), 1):
            while counts and counts[-1][0] > since:
                room += counts.pop()[1]
            if number > room:
                return True
        return False


def _a_day_after(at):
    """Before that, no policy of retention deletes what was written then."""
    then = datetime.fromisoformat(at.replace("Z", "+00:00")) + timedelta(days=1)
    return then.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _origins(heads):
    """Of which log each checkpoint is, by its name. Raises `WrongCall` for what is none."""
    for name, data in heads:
        try:
            yield name, Checkpoint(data).origin
        except Bad as bad:
            raise WrongCall(f"{name} is no checkpoint: {bad}") from None


def origin_of(data):
    """The log that a receipt is of; None of another text."""
    lines = _text_of(data).split("\n")
    return lines[1] if lines[0] == RECEIPT and len(lines) == 7 else None


def _text_of(data):
    """The text of a note, without its signature lines; empty where it is none."""
    try:
        return Note(data).text
    except Bad:
        return ""


def relatives(value):
    """Other conversations that an entry says belong to its own."""
    data = value["data"]
    if value["type"] == "subflow_started":
        yield "The child", data["child"]
    elif value["type"] == "conversation_started":
        if data.get("parent"):
            yield "The parent", data["parent"]["conversation"]
        for one in data.get("forks", ()):
            yield "The origin", one["conversation"]


def _first_difference(found, right):
    """The first line that is another, as it stands and as it should."""
    ours, theirs = right.split(b"\n"), found.split(b"\n")
    at = next((n for n, (one, other) in enumerate(zip(ours, theirs)) if one != other), min(len(ours), len(theirs)))
    return f"line {at + 1} is {_line(theirs, at)}, and should be {_line(ours, at)}"


def _line(lines, at):
    if at >= len(lines):
        return "missing"
    text = lines[at].decode("utf-8", "replace").strip()
    return repr(text if len(text) <= 300 else text[:300] + "…")


def refs(value):
    """Every commitment to a text in an event."""
    if isinstance(value, dict):
        if value.keys() == REF:
            yield value
        else:
            for part in value.values():
                yield from refs(part)
    elif isinstance(value, list):
        for part in value:
            yield from refs(part)


def check(files, trust=None) -> "Report":
    """The report on a bundle's files, by name."""
    # What is read is kept, and holds no circles: the collector would walk over it again and again and find nothing.
    collects = gc.isenabled()
    gc.disable()
    try:
        report: Report = Check(files, trust or Trust()).run()
    finally:
        if collects:
            gc.enable()
    return report


def checked_report(files, trust) -> "tuple[Report, bytes]":
    """The same, and a page with its verdict; an empty one where the entries cannot be read."""
    one = Check(files, trust)
    report = one.run()
    try:
        return report, one.written().html(report, [key.text for key in one.keys])
    except (KeyError, ValueError, TypeError, AttributeError, IndexError, RecursionError):
        return report, b""


# -- the command ---------------------------------------------------------------------------------------------


def counted(number, one, several=""):
    return f"{number} {one if number == 1 else several or one + 's'}"


def _given(text):
    """What was given: the contents of the file of that name, or the text itself."""
    try:
        return Path(text).read_text("utf-8") if Path(text).is_file() else text
    except OSError:
        return text


def trust_of(args):
    heads, anchors = [(name, Path(name).read_bytes()) for name in args.head], []
    for folder in args.anchors:
        found = sorted(one for one in Path(folder).rglob("*.checkpoint") if one.is_file())
        if not found:
            raise Bad(f"no checkpoint is in {folder}")
        anchors += [(str(one), one.read_bytes()) for one in found]
    moment = datetime.fromisoformat(args.not_before.replace("Z", "+00:00")).timestamp() if args.not_before else None
    return Trust(
        [key for one in args.key for key in keys_of(_given(one))],
        Policy(Path(args.policy).read_text("utf-8")) if args.policy else None,
        heads,
        [(name, Path(name).read_bytes()) for name in args.receipt],
        Path(args.tsa_ca).read_bytes() if args.tsa_ca else None,
        moment,
        args.report is not None,
        args.conversation,
        anchors,
    )


def main(argv=None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # what this terminal cannot write is spelled out, and the verdict is told
            stream.reconfigure(errors="backslashreplace")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", help="a folder or a zip file")
    parser.add_argument("--key", action="append", default=[], metavar="VKEY", help="the log's key, or a file with it")
    parser.add_argument("--policy", metavar="FILE", help="the logs and witnesses that you trust (c2sp.org/tlog-policy)")
    parser.add_argument("--head", action="append", default=[], metavar="FILE", help="a checkpoint you got elsewhere")
    parser.add_argument("--anchors", action="append", default=[], metavar="FOLDER", help="a folder of such checkpoints")
    parser.add_argument("--conversation", action="append", default=[], metavar="ID", help="it must be in the bundle")
    parser.add_argument("--receipt", action="append", default=[], metavar="FILE", help="a receipt that the log gave")
    parser.add_argument("--tsa-ca", metavar="FILE", help="certificates (PEM) of the time-stamping authority")
    parser.add_argument("--not-before", metavar="TIME", help="count only witnesses that saw it after this time")
    parser.add_argument("--require", choices=["witnessed", "anchored", "self-attested"], help="exit with 0 for it")
    parser.add_argument("--report", metavar="FILE", help="write a page for people from what was checked (HTML)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    args = parser.parse_args(argv)
    try:
        report, page = checked_report(read(args.bundle), trust_of(args))
        if args.report and page:
            Path(args.report).write_bytes(page)
    except (OSError, Bad, ValueError) as error:
        sys.stderr.write(f"cannot check {args.bundle}: {error}\n")
        return WRONG_CALL
    code = CODES[report.verdict]
    if args.require and report.level == report.verdict and code <= CODES[args.require.upper()]:
        code = 0
    if args.json:
        sys.stdout.write(json.dumps(report.document(), indent=2) + "\n")
        return code
    for line in [*report.faults, *report.missing, *report.says]:
        sys.stdout.write(line + "\n")
    texts = [counted(report.disclosed, "text fits its commitment", "texts fit their commitments")]
    texts += [f"{report.withheld} not disclosed", *([f"{report.erased} erased"] if report.erased else [])]
    texts += [f"{report.lost} MISSING"] if report.lost else []
    of = f"{counted(report.entries, 'entry', 'entries')} of {counted(report.conversations, 'conversation')}"
    sys.stdout.write(
        f"{report}: {counted(report.size, 'leaf', 'leaves')}; {of}; {', '.join(texts)}{READ[report.readable]}\n"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
