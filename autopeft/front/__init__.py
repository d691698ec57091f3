"""Curves and outcomes -> Front: dominance, hypervolume, knee, best under a budget, intervals. Imports no torch."""

from autopeft.front.dominance import hypervolume, knee, non_dominated
from autopeft.front.front import Front, FrontPoint, Verdict, finalists, front_of, point_of, point_of_trial, verdict

__all__ = [
    "Front",
    "FrontPoint",
    "Verdict",
    "finalists",
    "front_of",
    "hypervolume",
    "knee",
    "non_dominated",
    "point_of",
    "point_of_trial",
    "verdict",
]
