"""The report that people read cannot say anything else than the entries: the verifier writes it again."""

import csv
import hashlib
import html.parser
import io
import re
import unicodedata
from collections.abc import Iterator
from contextlib import closing, redirect_stdout
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.cli.demo import demo
from interlock.contracts.envelope import Head, opened, sealed
from interlock.contracts.flow import FactSpec, Flow
from interlock.fsm.conversation import Conversation
from interlock.fsm.describe import guard_sentence
from interlock.fsm.evolve import evolve
from interlock.fsm.render import _DIGITS_AFTER_THE_POINT, _SYMBOLS, DEFAULT_PHRASES, said, template_of
from interlock.persistence.evidence import verify_bundle as alone
from interlock.persistence.keyfile import KeyFile
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from support import golden
from support.evidence import FLOW, ORIGIN, TestKey, checkpointer, filled
from support.flows import flows
from support.stores import EVENT_TYPES, command, models
from support.tampering import bundle_of, checked, resigned, shown

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's fourteen conversations, signed with the tests' key."""
    path = tmp_path_factory.mktemp("log") / "log.db"
    with redirect_stdout(io.StringIO()):
        demo(path, False, "", "", True)
    with closing(SqliteStore(path, master=KeyFile(path.with_name("log.db.key")))) as store:
        checkpointer(store.tree(), signer=TestKey(store.log)).checkpoint()
    return path


@pytest.fixture(scope="module")
def files(log: Path) -> Files:
    with closing(SqliteStore(log)) as store:
        return shown(log, signer=TestKey(store.log))


def signer_of(files: Files) -> TestKey:
    return TestKey(alone.Checkpoint(files["checkpoint"]).origin)


def found(files: Files) -> alone.Report:
    return checked(files, key=signer_of(files))


def rows_of(files: Files) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files["report.csv"].decode(), newline="")))


# -- nobody alters it --------------------------------------------------------------------------------------


def in_the_table(data: bytes, random: Random) -> bytes:
    """One cell of one row of the CSV says something else."""
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    row = random.choice(rows[1:])
    row[random.randrange(len(row))] += random.choice(["x", " ", "0"])
    return "".join(",".join(f'"{cell}"'.replace("\n", "\n") for cell in one) + "\r\n" for one in rows).encode()


def in_the_page(data: bytes, random: Random) -> bytes:
    """One visible word of the page is another."""
    text = data.decode()
    words = [one for one in re.finditer(r"[A-Za-z0-9€“”.,:_ -]+", text) if seen_at(text, one.start())]
    one = random.choice(words)
    at = random.randrange(one.start(), one.end())
    return (text[:at] + random.choice([c for c in "abxyz019" if c != text[at]]) + text[at + 1 :]).encode()


def seen_at(text: str, at: int) -> bool:
    """Whether a person sees what stands there: it is in the body, and in no tag."""
    return at > text.index("<main>") and text.rfind("<", 0, at) < text.rfind(">", 0, at)


@pytest.mark.parametrize(("name", "altered"), [("report.csv", in_the_table), ("report.html", in_the_page)])
def test_each_of_a_hundred_alterations_is_found(files: Files, name: str, altered: Any) -> None:
    """Also by somebody who has the signing key and signs the altered file."""
    random, missed = Random(7), []
    for number in range(100):
        changed = altered(files[name], random)
        assert changed != files[name]
        faults = found(resigned({**files, name: changed}, signer_of(files))).faults
        if len(faults) != 1 or not faults[0].startswith(f"readable: {name} does not say what the entries say: line "):
            missed.append((number, faults))
    assert missed == []


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("report.html", "</style>", "tr.bad{display:none}</style>"),
        ("report.html", "still open, in human_desk", "ended in goodbye"),
        ("report.html", "</main>", "<p>Checked by the supervisor.</p></main>"),
        ("report.csv", '"transition_taken"', '"transition_refused"'),
    ],
)
def test_what_is_hidden_added_or_put_otherwise_is_found(files: Files, name: str, old: str, new: str) -> None:
    """A style that hides rows, a conversation that is told to be over, a line that nobody logged."""
    assert old in files[name].decode()
    changed = files[name].decode().replace(old, new, 1).encode()
    report = found(resigned({**files, name: changed}, signer_of(files)))
    assert (report.verdict, report.readable) == ("BROKEN", "differs")
    assert f"readable: {name} does not say what the entries say: line " in report.faults[0]


@pytest.mark.parametrize("name", ["report.csv", "report.html"])
def test_a_row_or_a_file_that_is_left_out_is_found(files: Files, name: str) -> None:
    lines = files[name].split(b"\n")
    less = b"\n".join(lines[:-20] + lines[-19:])
    assert found(resigned({**files, name: less}, signer_of(files))).verdict == "BROKEN"
    without = {key: data for key, data in files.items() if key != name}
    assert found(resigned(without, signer_of(files))).faults == [f"readable: the bundle has no {name!r}."]


def test_an_unaltered_one_agrees(files: Files) -> None:
    """The control, signed again as the others are; and a bundle that has no report says so."""
    report = found(resigned(files, signer_of(files)))
    assert (report.verdict, report.readable, report.faults) == ("SELF-ATTESTED", "agrees", [])
    without = {name: data for name, data in files.items() if not name.startswith("report.")}
    assert found(resigned(without, signer_of(files), report="")).readable == "none"
    report = found(resigned(without, signer_of(files)))
    assert (report.verdict, report.readable) == ("BROKEN", "missing")
    assert report.faults == [
        "readable: the manifest tells of a report, and neither report.html nor report.csv is there."
    ]


def test_a_report_of_another_form_is_not_believed(files: Files) -> None:
    """One of another release, or one that only says so: it is not shown that it is right, until this verifier writes
    its own."""
    for form in ("interlock report v0", ""):
        other = resigned({**files, "report.csv": b"who,what\r\n"}, signer_of(files), report=form)
        report = found(other)
        assert (report.verdict, report.readable) == ("NOT SHOWN", "not checked")
        assert (
            "are not of the form that this verifier writes (interlock report v3): do not read them"
            in (report.missing[0])
        )
        keys = [alone.Key(str(signer_of(files).verifier()))]
        own, page = alone.checked_report(other, alone.Trust(keys, writes_report=True))
        assert (own.verdict, own.readable) == ("SELF-ATTESTED", "not checked")
        assert b"Hello, this is the Northbank assistant" in page


# -- what it says ------------------------------------------------------------------------------------------


class Seen(html.parser.HTMLParser):
    """The cells of every table of a page, and whatever would load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.loads: list[str] = []
        self._open = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag == "td" or (self._open and tag in ("small", "a"))
        if tag == "td":
            self.cells.append("")
        given = dict(attrs)
        if tag in ("script", "img", "link", "iframe", "object") or "src" in given or "style" in given:
            self.loads.append(tag)
        if not (given.get("href") or "#").startswith("#"):
            self.loads.append(str(given["href"]))

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "td"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.cells[-1] += data


def test_the_page_has_every_cell_of_the_table(files: Files) -> None:
    """One says what the other says; the page loads nothing, and runs nothing."""
    page = Seen(files["report.html"].decode())
    rows = rows_of(files)
    steps = iter(page.cells[7 * len({row["conversation"] for row in rows if row["conversation"]}) :])
    for row in rows:
        cells = [next(steps) for _ in range(7)]
        wanted = [row[name].removeprefix("'") for name in ("event", "who", "what", "why", "before", "after")]
        assert [cells[0], *cells[2:]] == wanted
    assert list(steps) == []
    assert page.loads == []
    assert "url(" not in files["report.html"].decode()


def test_every_entry_is_a_row(files: Files, log: Path) -> None:
    """With its own place, time, type and leaf; the log's records stand at the end."""
    with closing(SqliteStore(log)) as store:
        streams = {stream: store.read(stream) for stream in store.streams()}
        records = store.tree().last_record()[0]
    rows = rows_of(files)
    told = {(row["conversation"], int(row["event"]), row["leaf hash"]) for row in rows if row["conversation"]}
    assert told == {(one, entry.version, entry.leaf.hex()) for one, entries in streams.items() for entry in entries}
    assert [row["event"] for row in rows if not row["conversation"]] == [str(number) for number in range(records)]


def test_a_step_says_who_what_why_before_and_after(files: Files) -> None:
    """A small refund of the demo: the clause, the guard's sentence and its verdict, the state and the facts."""
    rows = rows_of(files)
    moved = next(row for row in rows if row["type"] == "transition_taken" and "the amount is at most" in row["why"])
    assert moved["who"].startswith("the flow, upon ")
    assert re.fullmatch(r"goes from \w+ to \w+, on \w+", moved["what"])
    assert re.match(r"RF-\w+\n.*the amount is at most €100: (holds|does not hold)", moved["why"], re.DOTALL)
    assert (moved["before"][:7], moved["after"][:7]) == ("state: ", "state: ")
    learned = {(row["before"], row["after"]) for row in rows if row["type"] == "facts_recorded"}
    assert ("amount: not known", "amount: €250.00") in learned
    decided = next(row for row in rows if row["type"] == "task_decided")
    assert decided["who"] == "human j.brandt (refund_approver), known by demo"
    assert decided["why"].startswith("“")


def test_what_is_withheld_and_erased_is_said(log: Path) -> None:
    """Not a word of it, and how much there is of it."""
    with closing(SqliteStore(log)) as store:
        some = shown(log, signer=TestKey(store.log), disclose=("reply",))
    assert found(some).verdict == "SELF-ATTESTED"
    told = some["report.html"].decode() + some["report.csv"].decode()
    assert "would like a refund" not in told
    assert re.search(r"says \[withheld: \d+ bytes\]", told)
    assert "(disclosed was: reply)" in told
    assert re.search(r"<dt>Withheld</dt><dd>message of event \d+", told)


def test_the_page_of_the_verifier_has_its_verdict(files: Files, tmp_path: Path) -> None:
    """`--report` writes what was checked, and with which key; of what is broken it says that it is."""
    key, folder = str(signer_of(files).verifier()), tmp_path / "case"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    page = tmp_path / "checked.html"
    assert alone.main([str(folder), "--key", key, "--report", str(page)]) == 20
    assert "<b>SELF-ATTESTED</b>" in page.read_text("utf-8")
    assert key in page.read_text("utf-8")
    (folder / "report.csv").write_text("who,what\n")
    assert alone.main([str(folder), "--key", key, "--report", str(tmp_path / "other.html")]) == 1
    broken = (tmp_path / "other.html").read_text("utf-8")
    assert "<b>BROKEN</b>" in broken
    assert "opening: altered, missing or added: report.csv." in broken
    assert "Conversation " not in broken


# -- hostile texts -----------------------------------------------------------------------------------------

HOSTILE = [
    ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ("pay \u202e001\u202c now", "pay \\u202e001\\u202c now"),
    ("a\u200bb\x00c\x1b[2J", "a\\u200bb\\u0000c\\u001b[2J"),
    ("no\u00adt\u200d \u3164\ufe0f\u2800", "no\\u00adt\\u200d \\u3164\\ufe0f\\u2800"),
    ("\U000e0041\ud800\U0001d173", "\\U000e0041\\ud800\\U0001d173"),
    ("</td><td>approved", "&lt;/td&gt;&lt;td&gt;approved"),
]


@pytest.mark.parametrize(("written", "stands"), HOSTILE)
def test_a_text_can_only_be_read_as_what_it_is(written: str, stands: str) -> None:
    """No mark-up, nothing that turns a line round, nothing unseen."""
    assert alone._text(alone.seen(written)) == stands


IGNORABLE = (
    "ad 34f 61c 115f 1160 17b4 180e 200b 200c 200d 2028 202e 2060 2066 2800 3164 fe0f feff ffa0 fff9 1bca0 1d173 \
e0001 e0041 e0100 d800 dfff fdd0"
)


def test_the_table_has_whatever_nobody_sees() -> None:
    """Of every release's categories, and of what they do not tell: fillers, selectors, tags, blanks."""
    unseen = [chr(int(one, 16)) for one in IGNORABLE.split()]
    unseen += [chr(n) for n in range(0x110000) if unicodedata.category(chr(n)) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert {one for one in unseen if alone.seen(one) == one} == {"\t", "\n"}
    plain = "Grüße, 1 234,50 € – “ja” שלום ﷺ 漢字 👩 क्ष"
    assert alone.seen(plain) == plain


def test_no_field_carries_what_is_unseen() -> None:
    """The name and the type of an entry among them; and what no file can hold is spelled out too."""
    value = {"stream": "a\u200b", "ver": 0, "at": "\ud800", "type": "x\u202e"}
    row = alone.Row(value, b"", "who\ufe0f", "what", "why")
    assert "".join(row.cells) == "a\\u200b0\\ud800x\\u202ewho\\ufe0fwhatwhy"


@given(st.text())
def test_a_guards_argument_is_written_by_no_release_of_python(text: str) -> None:
    """As Python writes it, where every release agrees; and never what it knows of newer characters."""
    written = alone._literal(text)
    assert alone.seen(written) == written
    if all(" " <= one <= "~" or one in "\r\n\t\x00\x80" for one in text):
        assert written == repr(text)
    assert alone._literal("\u0378\U0001fae9") == "'\u0378\U0001fae9'"


def test_an_entry_cannot_carry_mark_up_anywhere() -> None:
    """Whatever a field of it says, who signs the log included: no tag of it reaches the page."""
    recorded = next(iter(golden.read("0.1.0").streams.values()))
    plain = len(re.findall("<", page_of([(one.data, one.leaf) for one in recorded], "")))
    marked = page_of([(one.data, one.leaf) for one in recorded], "<b hidden>")
    assert len(re.findall("<", marked)) == plain
    assert "&lt;b hidden&gt;" in marked


def page_of(entries: list[tuple[bytes, bytes]], mark: str) -> str:
    """The page of entries in whose times, actors, states and reasons this stands first."""
    store, values = MemoryStore(origin=ORIGIN), []
    filled(store, 1)
    checkpointer(store.tree()).checkpoint()
    for data, leaf in entries:
        value = alone.entry_value(data)
        value["at"] = mark + value["at"]
        value["actor"]["id"] = mark + value["actor"]["id"]
        value["data"] = {name: mark + one if name in MARKED else one for name, one in value["data"].items()}
        values.append((value, leaf))
    told = alone.Conversation(f"{mark}c", values, [], {})
    return alone.Readable(alone.Checkpoint(bundle_of(store)["checkpoint"]), "all", ["all"], [told], []).html().decode()


MARKED = {"state", "source", "target", "because", "on", "name", "agent", "tool", "reason", "text", "due"}


@given(st.text(max_size=40))
def test_a_field_is_read_as_it_was_written(text: str) -> None:
    """By any reader of RFC 4180, and by no spreadsheet as a formula."""
    (row,) = csv.reader(io.StringIO(alone._field(text), newline=""), strict=True)
    assert row[0].removeprefix("'") == text.removeprefix("'")
    assert row[0][:1] not in ("=", "+", "-", "@", "\t", "\r") or row[0] == ""


# -- it tells what the core knows --------------------------------------------------------------------------


def entries_of(values: list[bytes]) -> list[tuple[Any, bytes]]:
    return [(alone.entry_value(one), alone.leaf_of(one)) for one in values]


@pytest.mark.parametrize("release", golden.releases())
def test_it_follows_state_and_facts_as_the_core_does(release: str) -> None:
    """After every entry of every history of a released format."""
    recorded = golden.read(release)
    flow = recorded.flow.written()
    for stream, entries in recorded.streams.items():
        told = alone.Conversation(stream, entries_of([one.data for one in entries[:1]]), [], {})
        core = evolve(Conversation(id=stream), entries[0].event)
        for one in entries[1:]:
            told.flow = flow
            (value, leaf) = entries_of([one.data])[0]
            told._row(value, leaf)
            core = evolve(core, one.event)
            assert told.state == core.state
            assert {name: fact.get("value") for name, fact in told.known.items()} == {
                name: fact.value for name, fact in core.known.items()
            }
        assert bool(told.ended) == (core.status == "ended")


@given(st.data())
def test_every_type_of_event_has_its_words(data: st.DataObject) -> None:
    """Whatever stands in it; a type that this verifier does not know is told with all that it holds."""
    kind = data.draw(st.sampled_from(EVENT_TYPES))
    event = data.draw(models(kind))
    (entry,) = sealed([event], head=Head("c"), command=command("k"), flow=FLOW.digest, code="t/1", log=ORIGIN)
    ((value, leaf),) = entries_of([entry.data])
    (row,) = alone.Conversation("c", [(value, leaf)], [], {}).rows
    assert not row.what.startswith(f"{event.type.replace('_', ' ')}: {{"), row.what
    value["type"] = "moon_landed"
    (row,) = alone.Conversation("c", [(value, leaf)], [], {}).rows
    assert row.what.startswith("moon landed: {")
    assert opened(entry.data)[1] == event


def test_its_tables_are_the_packages() -> None:
    """What the flow says where it has no words of its own, and how money is written."""
    assert dict(DEFAULT_PHRASES) == alone.PHRASES
    assert dict(_SYMBOLS) == alone.SYMBOLS
    assert dict(_DIGITS_AFTER_THE_POINT) == alone.DIGITS


@given(
    st.sampled_from(["text", "code", "money", "integer", "date", "choice", "yes_no"]),
    st.one_of(st.booleans(), st.integers(-(10**9), 10**9), st.dates().map(str), st.sampled_from(["a_b", "c"])),
    st.sampled_from(["EUR", "JPY", "KWD", "CHF"]),
)
def test_it_writes_values_as_the_flow_says_them(kind: Any, value: Any, currency: str) -> None:
    spec = FactSpec(name="x", type=kind, ask="?", choices=("a_b", "c") if kind == "choice" else ())
    if (kind == "yes_no") == isinstance(value, bool):
        assert alone.said({"type": kind}, value, currency) == said(spec, value, currency)


def texts_of(flow: Flow) -> Iterator[str]:
    """The names of all texts that a flow can say."""
    yield from (f"phrase.{name}" for name in {*flow.phrases, *DEFAULT_PHRASES})
    for state in flow.states:
        yield from (f"{group}.{state.name}" for group in ("state", "meanwhile", "confirm"))
    yield from (f"{group}.{fact.name}" for group in ("ask", "again") for fact in flow.facts)
    labels = [label for router in flow.routers for label in router.labels]
    yield from (f"next_issue.{label}" for label in [*labels, "unsure"])


@given(flows())
def test_it_says_a_flows_texts_and_guards_as_the_flow_does(case: Any) -> None:
    flow = case.flow
    told = alone.Conversation.__new__(alone.Conversation)
    told.flow = flow.written()
    states = {state.name: state.kind for state in flow.states}
    for text in texts_of(flow):
        group, _, name = text.partition(".")
        if (group, states.get(name)) in {("confirm", "collect"), ("meanwhile", "human")} or group not in (
            "confirm",
            "meanwhile",
        ):
            assert (told._template(text) or "") == template_of(flow, text), text
    for row, plain in zip(flow.transitions, told.flow["transitions"], strict=True):
        written = alone.guard_text(plain["guard"])
        assert written == str(row.guard) or not (written + str(row.guard)).isascii()  # others differ by release
        assert alone.is_written_so(plain["guard"], str(row.guard))
        assert not alone.is_written_so(plain["guard"], f"x{row.guard}")
        assert alone.guard_sentence(told.flow, plain["guard"]) == guard_sentence(flow, row.guard)


def test_its_bytes_are_those_of_its_number() -> None:
    """Auditors hold reports of one release against verifiers of another: change a byte, and change REPORT too."""
    recorded = golden.read("0.1.0")
    flow = {recorded.flow.digest: recorded.flow.written()}
    told = [
        alone.Conversation(stream, entries_of([one.data for one in entries]), [], flow)
        for stream, entries in recorded.streams.items()
    ]
    store = MemoryStore(origin=ORIGIN)
    filled(store, 1)
    checkpointer(store.tree()).checkpoint()
    checkpoint = alone.Checkpoint(bundle_of(store)["checkpoint"])
    readable = alone.Readable(checkpoint, "all", ["all"], told, [])
    made = [hashlib.sha256(data).hexdigest()[:16] for data in (readable.csv(), readable.html())]
    assert (alone.REPORT, *made) == ("interlock report v3", "e9235d35b92cc828", "bfa82936e85adecb")
