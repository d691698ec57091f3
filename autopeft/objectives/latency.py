"""Time of a forward pass, as a ratio to the bare backbone's."""

from autopeft.objectives.objective import Measured, Probe, register


def latency(probe: Probe) -> float:
    """Seconds of a forward pass over the bare backbone's, with the adapter merged where its method merges."""
    return probe.latency_ratio()


LATENCY = register(Measured("latency", "time of a forward pass : bare backbone", unit="x", measure=latency))
