"""Curves and outcomes -> Front: knee, best under a budget, intervals. Imports no torch."""

from autopeft.front.front import Front, FrontPoint, Verdict, front_of, point_of, point_of_trial, verdict

__all__ = [
    "Front",
    "FrontPoint",
    "Verdict",
    "front_of",
    "point_of",
    "point_of_trial",
    "verdict",
]
