"""What people say to the form itself, and around an answer: yes, no, say it again, go back, rather not, never mind,
"sorry, I meant", "my name is".

Precision over recall: a message with anything else in it is not a control, because acting on a control that
nobody meant loses what they said. Everything here is total and takes time linear in the text.
"""

import re

from ..contracts.facts import Control

LOOKED_AT = 20_000
"""Characters of a message that rules look at; what stands behind them is not read."""
LONGEST_CONTROL = 120
_NEAR = 40
"""How many characters before a value a word like "sorry" may stand to say that the value is a correction."""

_SPELLINGS: dict[int, str] = {
    **dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u00b4`\uff07"), "'"),
    **dict.fromkeys(map(ord, "\u201c\u201d\u201e\u00ab\u00bb"), '"'),
    **dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2212"), "-"),
    **dict.fromkeys(map(ord, "\x00\t\r\u00a0\u2007\u2009\u202f\u3000\ufeff"), " "),
    **dict.fromkeys([*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2066, 0x206A)], " "),
    **{zero + n: str(n) for zero in (0x660, 0x6F0, 0x966, 0xFF10) for n in range(10)},
    ord("\u2014"): ";",
    ord("\u2026"): ";",
    ord("\u066b"): ".",
    ord("\u066c"): ",",
}
_SPELT_OTHERWISE = re.compile(r"[^\n\x20-\x5f\x61-\x7e]")


def plain(text: str) -> str:
    """The part of `text` that is read, in one spelling of quotes, dashes, spaces and digits; positions stay."""
    read = text[:LOOKED_AT]
    return read.translate(_SPELLINGS) if _SPELT_OTHERWISE.search(read) else read


def words_in(listed: str) -> frozenset[str]:
    """A set of words that are written as one line."""
    return frozenset(listed.split())


def _any_of(*phrases: str) -> str:
    return "|".join(sorted((phrase for line in phrases for phrase in line.split("/")), key=len, reverse=True))


_YES_WORDS = "yes/yeah/yep/yup/yea/ya/yess/yass/yeh/yes sir/aye"
_NO_WORDS = "no/nope/nah/noo/nay/no no"
_YES = _any_of(
    _YES_WORDS,
    "y/sure/sure thing/correct/right/true/ok/okay/k/kk/fine/great/perfect/exactly/absolutely/definitely",
    "certainly/indeed/affirmative/of course/for sure/confirm/confirmed/agreed/go ahead/go for it/please do/do it",
    "proceed/sounds good/looks good/looks right/looks correct/all good/all correct/why not/you bet/you got it",
    "it is/i do/i did/i am/i have/i can/i would/i will/i think so/i believe so/i confirm/i agree/that works",
    *(
        f"{that} {good}"
        for that in ("that's", "thats", "that is", "it's", "its", "it is", "this is", "all is")
        for good in ("right", "correct", "true", "fine", "ok", "okay", "good", "it", "perfect")
    ),
    "👍/✅/👌",
)
_NO = _any_of(
    _NO_WORDS,
    "n/wrong/incorrect/false/negative/never/not really/not at all/not yet/not quite/not right/not correct",
    "absolutely not/definitely not/certainly not/of course not/no way/by no means/i don't think so/i do not think so",
    "i think not/i'm afraid not/afraid not/none/no thanks/no thank you/no ty/don't/do not/please don't",
    "i don't/i do not/i didn't/i did not/i'm not/i am not/i haven't/i have not/i can't/i cannot/i won't",
    "it isn't/it is not/it's not/it doesn't/it does not/it wasn't/that isn't it",
    *(
        f"{that} {bad}"
        for that in ("that's", "thats", "that is", "it's", "it is", "this is")
        for bad in ("wrong", "incorrect", "not right", "not correct", "not it", "not true", "false")
    ),
    "👎/❌",
)
_FILLER = _any_of(
    "please/pls/plz/thanks/thank you/thx/ty/oh/um/uh/uhm/hmm/hm/er/ah/well/sorry/actually/so/just/hi/hello/hey/then",
    "sir/madam/ma'am/man/wait/no wait/hold on/no problem/no problems/no worries/no doubt/no rush/and/but/i'm sorry",
    "i am sorry/very much/so much/a lot/i guess/lol/honestly/alright/all right/you know/you know what",
)
_PIECE = re.compile(rf"(?:(?P<filler>{_FILLER})|(?P<no>{_NO})|(?P<yes>{_YES}))(?: |$)")
_LEADING_YES = re.compile(
    rf"(?:{_any_of(_YES_WORDS, 'sure/correct/absolutely/definitely/of course/exactly/indeed')})\b"
)
_LEADING_NO = re.compile(
    rf"(?:{_any_of(_NO_WORDS)})\b(?! (?:idea|clue|one|problem|worries|doubt|rush|matter|longer|wonder|issue|wait)s?\b)"
    r"|(?:not really|not at all|absolutely not|definitely not)\b"
)
_TRAILING = re.compile(r"(?:^| )(?:(?P<yes>yes|yeah|yep|yup)|(?P<no>no|nope|nah))$")
_UNSURE = re.compile(
    r"\b(?:(?:don't|dont|do not|didn't|can't|cannot) (?:really )?(?:know|remember|recall)|dunno|idk|no idea|no clue|"
    r"not (?:so |really |entirely |too |quite )?(?:sure|certain)|unsure|maybe|perhaps|might be|"
    r"idek|beats me|(?:not|haven't) (?:a|the faintest) (?:clue|idea)|who knows)\b"
    r"|^(?:sorry )?(?:i )?(?:(?:have |can't |'ve )?(?:forgotten|forgot|forget))(?: (?:it|that|this|sorry))*$"
)
_WORDS = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[👍✅👌👎❌]")
_CLAUSES = re.compile(r"[,.;:!?\n()]| - ")

_THAT = r"(?: (?:that|it|this|so|your question|(?:the|that) last (?:bit|part|one)|the (?:question|one|part|bit)))?"
_ASK = r"(?:(?:can|could|would|will) (?:you|u) (?:please |kindly )?|(?:i )?need you to )?"
_LAST = r"(?:(?:the|my|that) )?(?:last|previous|prior|earlier|first|other) (?:question|one|answer|step|thing|field)"
_TELL = (
    r"(?:say|tell|answer|share|give|provide|disclose|reveal|discuss)(?: you)?"
    r"(?: (?:that|it|this|any of that|that information|my(?: [^\W_]+){1,4}|you that|out))?(?: to you| here)?"
)
_KINDS: tuple[tuple[Control, re.Pattern[str]], ...] = (
    (
        "repeat",
        re.compile(
            rf"what|huh|eh|pardon(?: me)?|come again|{_ASK}(?:repeat|rephrase|say|ask"
            rf"|explain){_THAT}(?: (?:once more|one more time"
            rf"|again|for me|to me))*|what did you (?:say|ask|mean)(?: again)?|what (?:was|is) (?:that|the question"
            rf"|your question)"
            r"(?: again)?|what's the question(?: again)?|what do you mean(?: by (?:that|this))?|say what|one more time"
            rf"|i (?:didn't|did not|don't|do not|couldn't) (?:quite |really )?(?:catch|hear|get|understand"
            rf"|follow)(?: you)?{_THAT}"
        ),
    ),
    (
        "back",
        re.compile(
            rf"back|(?:(?:can|could|may|let) (?:we|i|you|me|us) |let's |lets |take me |i (?:want|need"
            rf"|would like) to |i'd like to |"
            rf"please )?(?:go|going|step) back(?: (?:one|a step|one step|a question|to {_LAST}))?|(?:the )?previous"
            rf"(?: (?:question|one|step))?|i (?:made|did) (?:a mistake|an error)(?: (?:in|on|with|at) {_LAST})?"
            rf"|undo(?: (?:that|it))?"
            rf"|(?:(?:can|could|may|let) (?:we|i|me) |i (?:want|need) to |i'd like to )?(?:change|correct|fix"
            rf"|edit) {_LAST}"
            r"|take me back|(?:my|the) (?:last|previous) (?:answer|one) (?:was|is) (?:wrong|incorrect)"
        ),
    ),
    (
        "decline",
        re.compile(
            rf"(?:i(?:'d| would)? )?(?:much )?(?:rather|prefer) not(?: to)?(?: {_TELL}| do that)?"
            rf"|i would not like to {_TELL}"
            rf"|i(?:'m| am) not (?:going to|gonna|willing to|comfortable|allowed to)(?: {_TELL}| (?:sharing|giving"
            rf"|telling)(?: you)? that)?"
            rf"|i (?:don't|do not|dont|won't|will not|wont) (?:(?:want|wish|like|need|feel comfortable) to )?{_TELL}"
            rf"|i (?:can't|cannot) {_TELL}|skip{_THAT}(?: question| one)?|pass|no comment|(?:that's "
            rf"|that is )?none of your business"
            r"|(?:(?:it's|its|thats) )?none of (?:your|ur) (?:\w+ )?business|mind (?:your|ur) own(?: \w+)? business"
            r"|(?:you|u) (?:don't|dont|do not) (?:need|have) to know(?: that| this)?|(?:none|not) (?:your|ur) concern"
            r"|i refuse(?: to (?:say|answer|tell)(?: (?:that|this|you|it))?)?|(?:that's|that is|it's) (?:private"
            r"|personal|confidential)"
            r"|not (?:going to|gonna) (?:tell|say|share)(?: you)?(?: (?:that|this))?"
            r"|not telling(?: you)?(?: that)?|not (?:your|ur) business"
        ),
    ),
    (
        "cancel",
        re.compile(
            r"never ?mind(?: (?:that|it|then|about it|all that))?|nvm|(?:please )?forget (?:it|this|that"
            r"|about (?:it|this|that)|"
            r"the whole thing|everything)|cancel(?: (?:this|that|it|everything|all|all of it|the (?:form|process"
            r"|conversation)))?"
            r"|(?:(?:let's|lets|can we|could we|i want to|i'd like to|you can) )?(?:stop|quit|abort|exit|end)"
            r"(?: (?:this|that|it|here|now|asking|the (?:form|process|chat|conversation)))?|i give up|i(?:'ve"
            r"| have)? changed my mind"
            r"|(?:let's |lets )?leave it"
            r"|i (?:don't|do not|no longer) want (?:this|it|to (?:do this|continue|go on|proceed))"
            r"(?: any ?more| now)?|i (?:don't|do not|no longer) need (?:this|it|help)(?: any ?more)?|enough"
            r"|don't bother"
            r"|not interested(?: any ?more)?"
        ),
    ),
)
_CORRECTION = re.compile(
    r"\b(?:sorry|i mean|i meant|meant to (?:say|type|write)|no wait|wait|hold on|actually|correction"
    r"|scratch that|oops|"
    r"whoops|my (?:mistake|bad)|i was wrong|make (?:it|that)|instead)\b|\bno(?= ?[,;]| (?:it|the|[0-9€$£])"
    r"| ?$)",
    re.I,
)
_PLAIN_CORRECTION = re.compile(
    r"\b(?:i meant|meant to (?:say|type|write)|correction|scratch that|i made a mistake|i was wrong"
    r"|my (?:mistake|bad)|"
    r"(?:should|must) (?:be|have been|read|say)|(?:that's|that is|is|was) (?:wrong|incorrect|not (?:right|correct))|"
    r"(?:change|correct|update) (?:it|that|this|the|my)|typo|mistyped)\b",
    re.I,
)
_NOT_THAT = re.compile(
    r"\b(?:not|isn't|wasn't|instead of) [€$£]?[0-9][0-9.,/-]{0,12}(?: [a-z]{1,8})?[,;]? "
    r"(?:but |it's |it is |it was )?$",
    re.I,
)
_SAID_NO = re.compile(
    r"\W*(?:no|nope|nah|wrong|incorrect|not (?:right|correct|quite))\b(?! (?:problem|worries"
    r"|doubt|rush|idea))",
    re.I,
)


def _clauses(text: str) -> list[str]:
    """The clauses of a short message as bare lower-case words."""
    clauses = (" ".join(_WORDS.findall(clause)) for clause in _CLAUSES.split(plain(text).lower()))
    return [clause for clause in clauses if clause]


def _pieces(clause: str) -> tuple[set[str], str]:
    """The kinds of stock phrase that `clause` begins with, and what is left after them."""
    kinds: set[str] = set()
    position = 0
    while found := _PIECE.match(clause, position):
        kinds.add(found.lastgroup or "")
        position = found.end()
    return kinds, clause[position:]


def _kind_of(clause: str) -> str | None:
    """`filler`, or the control that the whole of `clause` is."""
    for start in (clause, _pieces(clause)[1]):
        bare = re.sub(r"(?: (?:please|pls|thanks|thank you|then|now|sorry|again|ok))+$", "", start)
        for kind, pattern in _KINDS:
            if pattern.fullmatch(start) or pattern.fullmatch(bare):
                return kind
    kinds, rest = _pieces(clause)
    kinds.discard("filler")
    if rest or len(kinds) > 1:
        return None
    return kinds.pop() if kinds else "filler"


def control_in(text: str) -> Control | None:
    """The control that the whole message is, or None. "No, never mind" is `cancel`: the plainer word wins."""
    if len(text) > LONGEST_CONTROL:
        return None
    clauses = _clauses(text)
    if " ".join(clauses) in ("sorry", "excuse me", "i'm sorry", "sorry what") and "?" in text:
        return "repeat"
    if not clauses and text.strip() in ("?", "??", "???"):
        return "repeat"
    kinds = {_kind_of(clause) for clause in clauses} - {"filler"}
    if len(kinds) > 1:
        kinds -= {"yes", "no"}
    match kinds.pop() if len(kinds) == 1 else None:
        case "yes" | "no" | "repeat" | "back" | "decline" | "cancel" as kind:
            return kind
        case _:
            return None


def yes_no_in(text: str) -> bool | None:
    """Yes or no as an answer to a question, also inside a longer answer; None if neither, both, or unsure.

    A later clause counts only if it is nothing else ("I have it here, yes"); "no wait, yes" is a yes.
    """
    clauses = _clauses(text)[:60]
    verdicts = [
        verdict
        for first, clause in zip((True, *[False] * 60), clauses, strict=False)
        if (verdict := _verdict(clause, first)) is not None
    ]
    if not verdicts or (_UNSURE.search(" ".join(clauses)) and _verdict(clauses[0], True) is None):
        return None
    if len(set(verdicts)) > 1 and not re.search(r"\b(?:wait|sorry|i mean|actually|hold on)\b", " ".join(clauses)):
        return None
    return verdicts[-1]


def _verdict(clause: str, first: bool) -> bool | None:
    """What one clause answers; only a `first` clause may go on after its yes or no."""
    kinds, rest = _pieces(clause)
    kinds.discard("filler")
    if not rest:
        return kinds == {"yes"} if len(kinds) == 1 else None
    if first:
        bare = re.sub(r"^(?:(?:well|oh|um|uh|hmm|ok|okay|so|and|hi|hello|please) )+", "", clause)
        if _LEADING_NO.match(bare):
            return False
        if _LEADING_YES.match(bare):
            return True
    trailing = _TRAILING.search(clause) if not _UNSURE.search(clause) else None
    return None if trailing is None else trailing.lastgroup == "yes"


def says_unsure(text: str) -> bool:
    """True for "I don't know", "no idea", "not sure": an answer that holds no value."""
    return _UNSURE.search(" ".join(_WORDS.findall(plain(text).lower()))) is not None


def corrects_between(gap: str) -> bool:
    """True if what stands between two values takes the first one back: "40, sorry, 45"."""
    return len(gap) <= 2 * _NEAR and _CORRECTION.search(gap) is not None


def starts_with_no(message: str) -> bool:
    """True if the message begins by saying no or wrong."""
    return _SAID_NO.match(message) is not None


_SAID_BESIDE = words_in(
    "no nope nah yes yeah ok okay not wrong incorrect it it's its is was be should must the that that's thats please "
    "thanks thank you sorry actually i meant mean change make set to just correct right value but and of for a an"
)


def stands_alone(message: str, span: tuple[int, int]) -> bool:
    """True if nothing is said beside the value at `span` but that it is one: "no, it's 45 please"."""
    beside = f"{message[: span[0]]} {message[span[1] :]}"
    return len(beside) <= LONGEST_CONTROL and all(word in _SAID_BESIDE for word in _WORDS.findall(beside.lower()))


def corrects(message: str, start: int | None = None) -> bool:
    """True if the plain `message` says that the value at `start` replaces an earlier one.

    Words like "sorry" and "actually" must stand right before it: "sorry for the delay, I paid 12" is none.
    """
    if _SAID_NO.match(message) or _PLAIN_CORRECTION.search(message):
        return True
    if start is None:
        return _CORRECTION.search(message) is not None
    before = message[max(0, start - _NEAR) : start]
    if _NOT_THAT.search(before):
        return True
    found = None
    for found in _CORRECTION.finditer(before):  # noqa: B007 - the last one counts
        pass
    return found is not None and len(before[found.end() :].split()) <= 4
