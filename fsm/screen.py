"""Screening: cheap rules, and a classifier where the flow names one, that can close the way to a message only.

Screening is a courtesy to the agents behind it, not a defence: patterns catch the plainest attempts
only. What holds whatever the text says is that no tool outside the state's list runs.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType

from ..contracts.flow import RouterSpec
from ..contracts.routing import Classifier, ScreenVerdict
from ..contracts.values import fixed
from .thresholds import millionths

ATTACK = "attack"
"""The label of a screening classifier whose score is looked at."""
MOST_UNPRINTABLE = 30
"""A message of which more than this share, in percent, cannot be printed is not a message."""

# Allowed: tab, line feed, vertical tab, form feed, carriage return; and 0x80 to 0x9F, which old mail
# programs leave where apostrophes were. A tag character is allowed after the black flag only (flags of
# England, Scotland and Wales): elsewhere it hides ASCII. U+202D and U+202E show text in another order
# than it is read; the isolates and embeddings that telephones put around numbers are harmless.
_NOT_TEXT = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\u202d\u202e]|(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0000-\U000e007f]"
)
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_IN_EMOJI = re.compile("[\u200d\U000e0020-\U000e007f]")
_WORD = re.compile(r"[^\W_]+")

_HERE = "(?:this|the|our) (?:conversation|chat)"
_SAY = "(?:show|reveal|print|output|repeat|display|encode|translate|leak|dump|tell me|give me|what (?:are|is|were|s))"
# Each is searched in the words of the message, lower case, one space between and around them. Gaps are
# counted and quantifiers possessive, so that every search is linear in the message.
_PROBES = (
    (
        r" (?:ignore|disregard|forget|override|bypass) (?:(?!my |our )\w++ ){0,3}?"
        r"(?:previous|prior|above|earlier|preceding|initial|original|system|your|all) (?:(?!my |our )\w++ ){0,2}?"
        r"(?:instructions?|prompts?|rules|guidelines|directives|programming|training) "
    ),
    r" system ?prompts? ",
    rf" {_SAY} (?:\w++ ){{0,4}}?your (?:\w++ )?(?:instructions|prompt|configuration) (?!(?:for|on|about|to|when|if) )",
    rf" {_SAY} (?:\w++ ){{0,3}}?system (?:instructions|configuration|message) ",
    r" (?:repeat|output|print|show) (?:\w++ ){0,2}?(?:above (?:text|words)|(?:text|words|everything) above) ",
    r" (?:repeat|output|print) (?:\w++ ){0,2}?(?:entire|whole|full) conversation ",
    rf" you were (?:given|told) (?:\w++ ){{0,3}}?(?:beginning of|start of|before) {_HERE} ",
    r" what are you not (?:supposed|allowed) to ",
    r" you are (?:now )?in (?:\w++ )?mode ",
    r" (?:enable|enter|activate|switch to) (?:developer|debug|god|dan|jailbreak|unrestricted) mode ",
    r" you are now (?:an? |the |my )?(?:\w++ ){0,2}?(?:ai|assistant|bot|model|dan|hacker|unrestricted|unfiltered) ",
    r" do anything now ",
    (
        r" (?:pretend|act|behave|respond|answer) (?:as if|as though|like) you (?:have|had|are|were) "
        r"(?:no|not|free|without) (?:\w++ ){0,2}?(?:restrictions|rules|limits|filters|guidelines|bound) "
    ),
    r" (?:administrator|admin|developer|sudo|root|system) override ",
    r" new (?:system )?instructions (?:you (?:must|will|are)|override|begin) ",
    r" start your (?:answer|reply|response) with ",
)
_SEARCHES = tuple(re.compile(probe) for probe in _PROBES)
_MARKUP = re.compile(
    r"<\|(?:im_start|im_end|system|endoftext)\|>|\[/?INST\]|<</?SYS>>|^[ \t]{0,8}#{2,6} ?(?:system|instructions?) ?:",
    re.IGNORECASE | re.MULTILINE,
)


def _size(spec: RouterSpec, text: str) -> bool:
    return len(text) > spec.max_characters


def _encoding(spec: RouterSpec, text: str) -> bool:
    if _NOT_TEXT.search(text):
        return True
    if text.isprintable():
        return False
    plain = _IN_EMOJI.sub("", text)
    unprintable = sum(not (character.isprintable() or character.isspace()) for character in plain)
    return unprintable * 100 > MOST_UNPRINTABLE * len(text)


def _injection(spec: RouterSpec, text: str) -> bool:
    """Whether the text asks to override the instructions or to show them. A text too long is not read."""
    if _size(spec, text) or _MARKUP.search(text):
        return True
    plain = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold()
    words = f" {' '.join(_WORD.findall(plain))} "
    return any(search.search(words) for search in _SEARCHES)


_RULES: Mapping[str, Callable[[RouterSpec, str], bool]] = MappingProxyType(
    {"size": _size, "encoding": _encoding, "injection": _injection}
)


def screen_rules() -> tuple[str, ...]:
    """The names that a router's `screen` may list."""
    return tuple(_RULES)


def screened(spec: RouterSpec, text: str, screener: Classifier | None = None) -> tuple[ScreenVerdict, ...]:
    """One verdict for each rule of `spec.screen`, in its order, and one of its classifier; never raises.

    Fails closed: a rule or classifier that does not exist, that is another one, or that raises, counts as blocked.
    """
    verdicts = tuple(_said_of(rule, _blocks(rule, spec, text)) for rule in spec.screen)
    if spec.screen_classifier is None:
        return verdicts
    if any(verdict.blocked for verdict in verdicts):
        return verdicts  # nothing can open what is closed, so a flood of hostile text is not scored as well
    return (*verdicts, _by_classifier(spec, text, screener))


def _by_classifier(spec: RouterSpec, text: str, screener: Classifier | None) -> ScreenVerdict:
    try:
        if screener is None or screener.digest != spec.screen_classifier:
            return ScreenVerdict(rule="classifier", blocked=True)
        score = fixed(dict(screener.score(text)[0])[ATTACK])
    except Exception:  # noqa: BLE001 - fails closed: what could not be examined does not pass
        return ScreenVerdict(rule="classifier", blocked=True)
    return ScreenVerdict(rule="classifier", blocked=millionths(score) >= millionths(spec.screen_threshold), score=score)


@lru_cache(maxsize=256)
def _said_of(rule: str, blocked: bool) -> ScreenVerdict:
    """The same verdicts come at every turn: each is validated once."""
    return ScreenVerdict(rule=rule, blocked=blocked)


def _blocks(rule: str, spec: RouterSpec, text: str) -> bool:
    try:
        return _RULES[rule](spec, text)
    except Exception:  # noqa: BLE001 - fails closed: what could not be examined does not pass
        return True
