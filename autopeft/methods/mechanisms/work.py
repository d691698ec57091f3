"""Work: what a method computes, and keeps for the backward pass, at one place of the backbone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """Where a method adds something: one linear, block, attention or prompt of an attached model.

    Args:
        parameters: Trainable numbers there.
        inputs: Width of what the addition reads.
        outputs: Width of what it is added to.
        tokens: Vectors that pass there in one step, those of all rows.
        rows: B.
        weight_bytes: Of one frozen number, 4 or 2.
        bias: Whether the linear there has one.
        weights: Numbers of the frozen weight there; 0 where there is none.
        role: Of the linear there; "" for a block, an attention or a prompt.
        others: How many other places the method has.
    """

    parameters: int
    inputs: int
    outputs: int
    tokens: int
    rows: int = 1
    weight_bytes: int = 4
    bias: bool = True
    weights: int = 0
    role: str = ""
    others: int = 0


@dataclass(frozen=True)
class Work:
    """Floating-point operations of a method's own products at a place (a multiply-add is two), and numbers kept.

    Args:
        forward: Of one forward pass.
        backward: Of one backward pass, without input_gradient.
        input_gradient: Of the backward pass, where the gradient of the place's input is wanted too.
        saved: Numbers kept from the forward to the backward pass, besides the place's input.
        keeps_input: Whether the place's input is kept, which the places that read the same input share.
        in_loss: Of `forward`, what a regulariser computes: outside the blocks, so checkpointing does not repeat it.
    """

    forward: int = 0
    backward: int = 0
    input_gradient: int = 0
    saved: int = 0
    keeps_input: bool = True
    in_loss: int = 0


def chain(tokens: int, *widths: int, trained: bool = True) -> Work:
    """The work of tokens that pass from width to width through a matrix each.

    A product with P weights on T tokens costs 2 P T forward, 2 P T for the gradient of what it reads and, where its
    matrix is trained, 2 P T for that of the matrix.
    """
    products = [2 * tokens * a * b for a, b in zip(widths, widths[1:])]
    backward = sum(products) * (1 + trained) - products[0]
    return Work(sum(products), backward, products[0], tokens * sum(widths[1:-1]), trained)


def dense(place: Place) -> Work:
    """A chain of two products with as many weights as the place has parameters, from its inputs to its outputs."""
    forward = 2 * place.parameters * place.tokens
    first = forward * place.inputs // max(1, place.inputs + place.outputs)
    hidden = place.parameters // max(1, place.inputs + place.outputs)
    return Work(forward, 2 * forward - first, first, place.tokens * hidden)


def joined(*works: Work) -> Work:
    """Several works at the same place together."""
    return Work(
        sum(work.forward for work in works),
        sum(work.backward for work in works),
        sum(work.input_gradient for work in works),
        sum(work.saved for work in works),
        any(work.keeps_input for work in works),
        sum(work.in_loss for work in works),
    )


def grams(rank: int, place: Place) -> Work:
    """The products of both factors with themselves, A A^T and B^T B, in a regulariser of their orthogonality."""
    products = 2 * rank**2 * (place.inputs + place.outputs)
    return Work(products, 2 * products, in_loss=products)


def elementwise(place: Place, kept: int = 1) -> Work:
    """Scaling and shifting, which multiply no matrices: as many tensors of the place's output are kept."""
    return Work(saved=kept * place.tokens * place.outputs, keeps_input=False)


def weight_gradient(place: Place) -> Work:
    """The gradient of the whole weight, which is made where some of its entries are trained.

    Beside weights in bf16 the trained entries are a product of their own.
    """
    product = 2 * place.weights * place.tokens
    again = product if place.weight_bytes < 4 else 0
    return Work(again, product, again)


def built_update(place: Place, build: int, gradients: int) -> Work:
    """An update that is built as a whole matrix and then multiplied.

    Args:
        place: Where.
        build: Operations that build the matrix.
        gradients: Operations of the backward pass through its building.

    Returns:
        The work; of what is built, the matrix is kept.
    """
    product = 2 * place.weights * place.tokens
    return Work(product + build, product + gradients, product, place.weights)
