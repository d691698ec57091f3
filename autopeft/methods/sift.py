"""SIFT: the entries with the largest gradients before training, fixed from then on. Imports no torch."""

from autopeft.methods.mechanisms.sparse import Sparse


class Sift(Sparse):
    name = "sift"
    title = "SIFT"
    paper = "Song et al. 2023, arXiv 2312.11875"
    needs_statistics = True

    def before_attach(self, model, config, settings, layers, statistics):
        statistics.gradient(f"{statistics.backbone.shapes.linears[0].path}.weight")  # while nothing is adapted

    def scores(self, path, weight, settings, statistics, generator):
        return statistics.gradient(f"{path}.weight").abs()
