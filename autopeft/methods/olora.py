"""OLoRA: LoRA trains the first columns and rows of a weight's QR decomposition."""

from autopeft.methods.mechanisms.decomposed import Decomposed
from autopeft.methods.mechanisms.linears_only import LinearsOnly


class Olora(LinearsOnly, Decomposed):
    """B = Q_r (orthonormal) and A = R_r of W = Q R; the frozen weight becomes W - B A. Saved as PiSSA is."""

    name = "olora"
    title = "OLoRA"
    family = "low rank"
    paper = "Buyukakyuz 2024, arXiv 2406.01775"
    learning_rate = (2e-5, 5e-3)
    zero_start = False
    rewrites_base = True
    init = "olora"
