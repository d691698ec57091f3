"""The entries of smallest (PaFI) or of largest magnitude: a choice without data. Imports no torch."""

from autopeft.methods.mechanisms.sparse import Sparse


class MagnitudeMask(Sparse):
    name = "magnitude_mask"
    title = "magnitude mask (PaFI)"
    paper = "Liao et al. 2023, arXiv 2305.16742"
    hyperparameters = {**Sparse.hyperparameters, "trained": ("smallest", "largest")}
    defaults = {**Sparse.defaults, "trained": "smallest"}

    def scores(self, path, weight, settings, statistics, generator):
        return weight.abs() if settings["trained"] == "largest" else -weight.abs()
