"""Curves and outcomes -> Front: knee, the best per budget, intervals, and what can be said of it."""

from autopeft.front.comparison import Comparison
from autopeft.front.front import Front, FrontPoint, front_of, measured_in_full, point_of, point_of_trial
from autopeft.front.per_budget import BestWithin, per_budget
from autopeft.front.verdict import Lean, Verdict, verdict

__all__ = [
    "BestWithin",
    "Comparison",
    "Front",
    "FrontPoint",
    "Lean",
    "Verdict",
    "front_of",
    "measured_in_full",
    "per_budget",
    "point_of",
    "point_of_trial",
    "verdict",
]
