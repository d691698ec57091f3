"""LayerScores + methods + limits -> SearchSpace -> Configuration."""

from autopeft.space.budget import parse_budget
from autopeft.space.default_configurations import default_configurations, default_parameters
from autopeft.space.inverse import parameters_of
from autopeft.space.search_space import SearchSpace, Suggester, build_space
from autopeft.space.space_file import SpaceFile, load_space

__all__ = [
    "SearchSpace",
    "SpaceFile",
    "Suggester",
    "build_space",
    "default_configurations",
    "default_parameters",
    "load_space",
    "parameters_of",
    "parse_budget",
]
