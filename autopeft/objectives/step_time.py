"""Time of a training step, as a ratio to uniform LoRA's on the same machine."""

from autopeft.objectives.objective import Measured, Probe, register


def step_time(probe: Probe) -> float:
    """Seconds of a step over those of uniform LoRA at the budget, timed just before and just after it.

    Args:
        probe: times steps in the process that trains the configuration.
    """
    before = probe.seconds_per_step(probe.uniform_lora)
    own = probe.seconds_per_step(probe.configuration)
    after = probe.seconds_per_step(probe.uniform_lora)
    return 2 * own / (before + after)


STEP_TIME = register(Measured("step-time", "time of a training step : uniform LoRA", unit="x", measure=step_time))
