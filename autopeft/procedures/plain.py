"""Plain training: every parameter of the method at every step."""

from autopeft.procedures.mechanisms.procedure import Procedure


class Plain(Procedure):
    """The gradient of the mean loss of each batch, and AdamW."""

    name = "plain"
    title = "plain training"
    paper = "Loshchilov and Hutter 2017, arXiv 1711.05101"
