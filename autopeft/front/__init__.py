"""Curves and outcomes -> Front: knee, best under a budget, intervals, and what can be said of it."""

from autopeft.front.comparison import Comparison
from autopeft.front.front import Front, FrontPoint, front_of, measured_in_full, point_of, point_of_trial
from autopeft.front.verdict import Lean, Verdict, verdict

__all__ = [
    "Comparison",
    "Front",
    "FrontPoint",
    "Lean",
    "Verdict",
    "front_of",
    "measured_in_full",
    "point_of",
    "point_of_trial",
    "verdict",
]
