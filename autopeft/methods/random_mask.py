"""Entries drawn at random: what a choice of entries has to beat. Imports no torch."""

from autopeft.methods.mechanisms.sparse import Sparse


class RandomMask(Sparse):
    name = "random_mask"
    title = "random mask"
    paper = "Xu and Zhang 2024, arXiv 2405.02596"

    def scores(self, path, weight, settings, statistics, generator):
        import torch

        return torch.rand(weight.shape, generator=generator)
