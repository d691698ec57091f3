"""PiSSA: LoRA trains the largest singular directions of a weight, the rest stays frozen."""

from autopeft.methods.mechanisms.decomposed import Decomposed


class Pissa(Decomposed):
    """A = S_r^(1/2) V_r^T and B = U_r S_r^(1/2) of W = U S V^T; the frozen weight becomes W - B A.

    A saved adapter holds the trained factors only: peft repeats the decomposition on the weight it is loaded onto.
    """

    name = "pissa"
    title = "PiSSA"
    family = "low rank"
    paper = "Meng et al. 2024, arXiv 2404.02948"
    learning_rate = (2e-5, 5e-3)  # it moves the main directions of W itself, so it wants full fine-tuning's rates
    zero_start = False  # the same function, in other roundings
    rewrites_base = True
    init = "pissa"
