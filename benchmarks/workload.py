"""The one conversation that everybody runs: three steps a turn, and an agent that answers at once.

```
intake -> route (words, in code) -> billing | technical -> wait for the next message
```

What is timed is what the orchestrator itself costs: deciding, recording, storing. Texts differ from turn to
turn, as people's do, so that no store can squeeze them all into one.
"""

import random

_WORDS = [
    "please",
    "could",
    "you",
    "look",
    "again",
    "because",
    "my",
    "last",
    "order",
    "came",
    "without",
    "the",
    "blue",
    "cable",
    "and",
    "since",
    "yesterday",
    "evening",
    "the",
    "screen",
    "shows",
    "number",
    "forty",
    "when",
    "we",
    "start",
    "it",
    "so",
    "nobody",
    "here",
    "can",
    "work",
    "while",
    "the",
    "printer",
    "waits",
    "for",
    "another",
    "sheet",
    "thank",
    "you",
    "for",
    "the",
    "quick",
    "answer",
    "about",
    "delivery",
    "address",
    "customer",
    "account",
    "window",
    "page",
    "report",
    "system",
    "meeting",
    "contract",
    "price",
    "month",
    "letter",
    "street",
    "garden",
    "school",
    "train",
    "ticket",
    "coffee",
    "paper",
    "table",
    "picture",
    "music",
    "river",
    "bridge",
]
_random = random.Random(7)


def _sentence(words: int) -> str:
    return " ".join(_random.choice(_WORDS) for _ in range(words))


MESSAGES = tuple(("invoice: " if number % 2 == 0 else "crash: ") + _sentence(16) for number in range(997))
ANSWERS = tuple(_sentence(18) for _ in range(991))


def message(turn: int) -> str:
    return MESSAGES[turn % len(MESSAGES)]


def answer(turn: int) -> str:
    return ANSWERS[turn % len(ANSWERS)]
