"""Curves and outcomes -> Front: knee, best under a budget, intervals, the verdict against uniform LoRA."""

from autopeft.front.front import Front, FrontPoint, front_of, measured_in_full, point_of, point_of_trial
from autopeft.front.verdict import Verdict, verdict

__all__ = [
    "Front",
    "FrontPoint",
    "Verdict",
    "front_of",
    "measured_in_full",
    "point_of",
    "point_of_trial",
    "verdict",
]
