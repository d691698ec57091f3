"""How everything is trained and compared unless a study says otherwise: the numbers of the recipe. Imports no torch."""

WARMUP = 0.06  # share of the steps over which the learning rate rises; it then falls linearly to zero
CLIP = 1.0  # largest norm of a step's gradients
WEIGHT_DECAY = 0.0  # of AdamW
BETAS = (0.9, 0.999)  # of AdamW
EPSILON = 1e-8  # of AdamW
COHORT = 9  # trials that are compared with each other at a rung
ETA = 3  # at a rung at least one of so many trials is promoted
RUNGS = "1/4,1/2"  # shares of the full length at which trials are compared
OBJECTIVES = "parameters,metric"  # what is weighed against each other; "metric" is the task's


def warmup_steps(steps: int, warmup: float = WARMUP) -> int:
    """The steps of a run of `steps` steps in which the learning rate rises: at least one."""
    return max(1, round(warmup * steps))


def learning_rate_factor(step: int, steps: int) -> float:
    """The share of the learning rate at a step (from 0) of `steps`: a linear rise, then a linear fall to zero."""
    rise = warmup_steps(steps)
    return (step + 1) / rise if step < rise else (steps - step) / max(1, steps - rise)
