"""What every test shares: how long Hypothesis searches, and how a failure can be run again."""

from hypothesis import HealthCheck, Phase, settings

# No deadline and no slowness check: the machine's mood is not a property of the code.
settings.register_profile(
    "quick", deadline=None, max_examples=60, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("full", settings.get_profile("quick"), max_examples=2_000)
settings.register_profile(
    "look", settings.get_profile("quick"), max_examples=15, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("quick")  # `--hypothesis-profile=full` on the command line wins
