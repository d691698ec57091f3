"""LayerScores + methods + budget -> SearchSpace -> Configuration. Imports no torch."""

from autopeft.space.anchor import anchors
from autopeft.space.budget import parse_budget
from autopeft.space.search_space import Chooser, SearchSpace, build_space
from autopeft.space.space_file import SpaceFile, load_space

__all__ = ["Chooser", "SearchSpace", "SpaceFile", "anchors", "build_space", "load_space", "parse_budget"]
