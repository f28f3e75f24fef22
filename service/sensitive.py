"""What must not lie about in a text: card numbers, bank accounts, national ids, secrets; each known by its form.

Whoever looks at texts looks here: the redactor in front of the writer, and previews in records. A form with a check
digit is believed only where the digit fits, so that an order number is not taken for a card. What has no form of its
own (a name, an address, a diagnosis) is not found here, nor is a number that is spelt in words, spread over messages,
or part of a longer row of digits.
"""

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, get_args

Sensitive = Literal["card", "account", "national_id", "secret"]
SENSITIVE: tuple[Sensitive, ...] = get_args(Sensitive)

SECRETS: tuple[re.Pattern[str], ...] = (
    re.compile(r"-----BEGIN [^-\n]{0,60}-----.*?(?:-----END [^-\n]{0,60}-----|\Z)", re.DOTALL),
    re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*){0,2}"),
    re.compile(
        r"\b(?:sk|pk|rk|whsec|ghp|gho|ghu|ghs|ghr|github_pat|glpat|xox[abeoprs]|AKIA|ASIA|AIza|hf|npm|pypi)"
        r"[-_]?[A-Za-z0-9_-]{12,}"
    ),
)
"""Private keys, JSON web tokens, and keys of services that begin with what tells them apart."""
_GAP = r"[ \t\r\n\u00a0\u00ad\u180e\u2000-\u2015\u202f\u2060\u2212.,*/\\_-]{0,3}"
"""What people and their telephones put between the groups of a number: blanks, dashes, and what takes no room."""
_DIGITS = re.compile(rf"\d(?:{_GAP}\d){{12,}}")
_IBAN = re.compile(r"(?i)(?<![a-z0-9])[a-z]{2}\d{2}(?:[ -]?[a-z0-9]){11,30}(?![a-z0-9])")
_DIGIT = re.compile(r"\d")
_GROUP = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Found:
    """Something sensitive at these characters of a text."""

    kind: Sensitive
    start: int
    end: int


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1 annex B: from the right, every second digit doubled."""
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in map(int, digits[-2::-2])]
    return (sum(map(int, digits[::-2])) + sum(doubled)) % 10 == 0


def mod97(account: str) -> bool:
    """ISO 13616-1: moved to the front, letters as numbers, the remainder by 97 is 1."""
    moved = account[4:] + account[:4]
    return int("".join(str(int(one, 36)) for one in moved)) % 97 == 1


def found_in(text: str) -> list[Found]:
    """Everything sensitive in `text`, in order; where two overlap, the longer is kept, and a person before a card."""
    found = sorted(_all_in(text), key=lambda one: (one.start - one.end, one.start, one.kind == "card"))
    kept: list[Found] = []
    for one in found:
        place = bisect_left(kept, one.end, key=lambda other: other.start)  # those before it begin before `one` ends
        if not place or kept[place - 1].end <= one.start:
            kept.insert(place, one)
    return kept


def _all_in(text: str) -> Iterator[Found]:
    for pattern in SECRETS:
        yield from (Found("secret", *match.span()) for match in pattern.finditer(text))
    if _DIGIT.search(text):
        yield from _cards_in(text)
        yield from _accounts_in(text)
        for pattern, fits in _NATIONAL:
            yield from (Found("national_id", *match.span()) for match in pattern.finditer(text) if fits(match[0]))


def _plain(text: str) -> str:
    """Letters and ASCII digits only, in capitals: another script's digits count as what they stand for."""
    return "".join(str(int(one)) if one.isdecimal() else one for one in text if one.isalnum()).upper()


def _cards_in(text: str) -> Iterator[Found]:
    """13 to 19 digits that begin as an issuer's do (2 to 6), whole groups of a row of digits, with a fitting digit.

    Linear in the text, whoever wrote it: the sums of a row are added up once, and a stretch of it is a difference.
    """
    for row in _DIGITS.finditer(text):
        places, starts, ends = list[int](), list[int](), set[int]()
        for group in _GROUP.finditer(text, row.start(), row.end()):
            starts.append(len(places))
            places.extend(range(group.start(), group.end()))
            ends.add(len(places))
        digits = [int(text[place]) for place in places]
        sums = _sums(digits)
        for start in starts:
            if not 2 <= digits[start] <= 6:
                continue
            for end in range(start + 13, min(start + 19, len(digits)) + 1):
                added = sums[end % 2]
                if end in ends and (added[end] - added[start]) % 10 == 0 and len(set(digits[start:end])) > 1:
                    yield Found("card", places[start], places[end - 1] + 1)


def _sums(digits: list[int]) -> tuple[list[int], list[int]]:
    """Luhn's sum of the first so many digits, where those at even places are doubled, and those at odd ones."""
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits]
    even = [two if place % 2 == 0 else one for place, (one, two) in enumerate(zip(digits, doubled, strict=True))]
    odd = [one if place % 2 == 0 else two for place, (one, two) in enumerate(zip(digits, doubled, strict=True))]
    return list(accumulate(even, initial=0)), list(accumulate(odd, initial=0))


def _accounts_in(text: str) -> Iterator[Found]:
    """The longest beginning, cut at its gaps, whose check digits fit: a word may stand behind an account."""
    for match in _IBAN.finditer(text):
        ends = [match.end(), *(match.start() + gap.start() for gap in reversed([*re.finditer(r"[ -]", match[0])]))]
        for end in ends:
            account = _plain(text[match.start() : end])
            if 15 <= len(account) <= 34 and mod97(account):
                yield Found("account", match.start(), end)
                break


# -- national ids -----------------------------------------------------------------------------------------


def _spain(text: str) -> bool:
    plain = _plain(text)
    number = plain[:-1].translate(str.maketrans("XYZ", "012"))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == plain[-1]


def _france(text: str) -> bool:
    plain = _plain(text).replace("2A", "19").replace("2B", "18")
    return 97 - int(plain[:13]) % 97 == int(plain[13:])


def _germany(text: str) -> bool:
    """ISO/IEC 7064 MOD 11,10; of the first ten digits one comes twice or three times, the others once at most."""
    plain, product = _plain(text), 10
    counts = sorted((plain[:10].count(one) for one in set(plain[:10])), reverse=True)
    for digit in plain[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return counts[0] in (2, 3) and counts[1:2] in ([1], []) and (11 - product) % 10 == int(plain[10])


def _italy(text: str) -> bool:
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    plain = _plain(text)
    values = [int(one) if one.isdigit() else ord(one) - 65 for one in plain[:15]]
    total = sum(odd[one] if place % 2 == 0 else one for place, one in enumerate(values))
    return chr(65 + total % 26) == plain[15]


def _poland(text: str) -> bool:
    digits = [int(one) for one in _plain(text)]
    month, day = digits[2] % 2 * 10 + digits[3], digits[4] * 10 + digits[5]
    weighed = sum(digit * weight for digit, weight in zip(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True))
    return 1 <= month <= 12 and 1 <= day <= 31 and weighed % 10 == 0


def _america(text: str) -> bool:
    """No area 000, 666 or 9xx, no group 00, no serial 0000; the number has no check digit, so hyphens must be there."""
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _britain(text: str) -> bool:
    """These two letters are never given; the number has no check digit."""
    return _plain(text)[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")


_NATIONAL: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (re.compile(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"), _america),
    (re.compile(r"(?i)(?<!\w)[a-ceghj-prstw-z][a-ceghj-nprstw-z] ?\d{2} ?\d{2} ?\d{2} ?[a-d](?!\w)"), _britain),
    (re.compile(r"(?i)(?<!\w)(?:\d{8}|[xyz]-?\d{7})-?[a-z](?!\w)"), _spain),
    (re.compile(r"(?i)(?<!\w)[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?(?:\d{2}|2[ab]) ?\d{3} ?\d{3} ?\d{2}(?!\w)"), _france),
    (re.compile(r"(?<!\w)[1-9]\d ?\d{3} ?\d{3} ?\d{3}(?!\w)"), _germany),
    (re.compile(r"(?i)(?<!\w)[a-z]{6}\d{2}[a-ehlmprst]\d{2}[a-z]\d{3}[a-z](?!\w)"), _italy),
    (re.compile(r"(?<!\w)\d{11}(?!\w)"), _poland),
)  # fmt: skip
"""United States (social security), United Kingdom (national insurance), Spain (DNI, NIE), France (NIR), Germany (tax
id), Italy (codice fiscale), Poland (PESEL): the form of each, and its check."""
