"""DSEE: low-rank and sparse updates of the same linear, the sparse one where no low rank reaches. Imports no torch."""

from autopeft.methods.lift import low_rank
from autopeft.methods.sparse import Sparse

ROUNDS = 3  # of the decomposition of the pre-trained weight into low rank and sparse


class Dsee(Sparse):
    """Without the paper's pruning of the base weights, which buys inference time and nothing for training."""

    name = "dsee"
    title = "DSEE"
    paper = "Chen et al. 2021, arXiv 2111.00160"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32), **Sparse.hyperparameters}
    defaults = {"rank": 8, "density": 0.001, "target_modules": "query+value"}

    def count(self, settings, layers, shapes):
        sparse = super().count(settings, layers, shapes)
        chosen = shapes.select(settings["target_modules"], layers)
        return {x.path: sparse[x.path] + settings["rank"] * (x.in_features + x.out_features) for x in chosen}

    def peft_fields(self, settings, layers, shapes):
        return {**super().peft_fields(settings, layers, shapes), "peft_type": "DSEE", "rank": settings["rank"]}

    def scores(self, path, weight, settings, statistics, generator):
        from autopeft.methods.sparse import trained_entries
        from autopeft.methods.tuners.sparse_product import dense, top

        weight, number = weight.float(), trained_entries(settings["density"], weight.numel())
        sparse = weight * 0
        for _ in range(ROUNDS):  # alternately the best low rank beside the sparse part and the other way round
            rest = weight - low_rank(weight - sparse, settings["rank"])
            places = top(rest.abs(), number)
            sparse = dense(rest.flatten()[places], places, weight.shape)
        return rest.abs()
