"""Hypothesis profiles: `pytest tests/fuzz` runs the same few dozen examples each time, FUZZ_EXAMPLES=N others, so many each."""

import os

from hypothesis import HealthCheck, Phase, settings

COMMON = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
}
settings.register_profile("quick", max_examples=25, derandomize=True, **COMMON)
MANY = int(os.environ.get("FUZZ_EXAMPLES", 10**6))
settings.register_profile("million", max_examples=MANY, phases=[Phase.explicit, Phase.generate], **COMMON)
settings.load_profile("million" if "FUZZ_EXAMPLES" in os.environ else "quick")
