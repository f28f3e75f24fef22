"""What every test shares: how long Hypothesis searches, and how a failure can be run again."""

import os

import pytest
from hypothesis import HealthCheck, Phase, settings

from support import figures

# No deadline and no slowness check: the machine's mood is not a property of the code. Where `CI` is set a commit gets
# the same examples each time, so that its verdict is its own; everywhere else each run looks at new ones.
settings.register_profile(
    "quick",
    deadline=None,
    max_examples=60,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.register_profile("full", settings.get_profile("quick"), max_examples=2_000, derandomize=False)
settings.register_profile(
    "look", settings.get_profile("quick"), max_examples=15, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("quick")  # `--hypothesis-profile=full` on the command line wins


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What a test came to is written down with its profile."""
    figures.profile["full"] = item.get_closest_marker("full") is not None
