"""What encryption at rest costs: the same turns with payloads encrypted and in clear, interleaved, medians.

python benchmarks/encryption.py       # under a minute; --rounds 3 for a quick look
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from interlock_side import program
from workload import message

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.runtime import Runtime

CONVERSATIONS, TURNS = 10, 10


async def turns(folder: Path, *, in_clear: bool) -> float:
    """Turns a second over short conversations of as many people, start included, every commit synced."""
    store = SqliteStore(folder / "log.db", in_clear=in_clear)
    async with Runtime(store, program(), ScriptedAgent(lambda _: gives(reply="Yes."))) as runtime:
        began = time.perf_counter()
        for number in range(CONVERSATIONS):
            await runtime.start(conversation=f"talk-{number}")
            for turn in range(TURNS):
                await runtime.say(f"talk-{number}", message(turn))
        spent = time.perf_counter() - began
    store.close()
    return CONVERSATIONS * TURNS / spent


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=15)
    found: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(options.parse_args().rounds):
        for in_clear, rates in found.items():
            with tempfile.TemporaryDirectory() as folder:
                rates.append(await turns(Path(folder), in_clear=in_clear))
    encrypted, clear = (statistics.median(found[one]) for one in (False, True))
    print(f"encrypted: {encrypted:,.0f} turns a second; in clear: {clear:,.0f}; {1 - encrypted / clear:+.1%} slower")


if __name__ == "__main__":
    asyncio.run(main())
