"""Mixup: rows and their labels are mixed in pairs, in the hidden states below the adapters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from autopeft.backbone.shapes import BackboneShapes
from autopeft.methods.mechanisms.callback import Callback
from autopeft.methods.mechanisms.method import Settings
from autopeft.methods.mechanisms.training import TrainingSession
from autopeft.procedures.mechanisms.draws import generator
from autopeft.procedures.mechanisms.guard import Guard, augmenting
from autopeft.procedures.mechanisms.procedure import Procedure, only_classes

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import nn


class Mixup(Procedure):
    """h = s h_i + (1 - s) h_j and the same mixture of the two losses, s ~ Beta(alpha, alpha) for a batch.

    Mixed is what enters the first adapted block (Verma et al. 2018, arXiv 1806.05236), at the tokens that both rows
    have; j runs through a permutation of the batch, whose rows are of similar length. s is the larger share, so that
    a row keeps its own length and mask (Chen et al. 2020, arXiv 2004.12239). A guard on validation rows ends it for
    the rest of a run that it harms.
    """

    name = "mixup"
    title = "mixup of hidden states"
    paper = "Zhang et al. 2017, arXiv 1710.09412"
    hyperparameters = {"alpha": (0.1, 0.4, 1.0)}
    defaults = {"alpha": 0.4}
    in_parts = False

    @override
    def refuses(self, methods: tuple[str, ...], shapes: BackboneShapes) -> str | None:
        from autopeft.methods import get_method

        alone = [name for name in methods if get_method(name).layers == "none"]
        if why := only_classes(shapes):
            return why
        return f"{alone[0]} adapts no block at whose entrance rows could be mixed" if alone else None

    @override
    def callback(self, session: TrainingSession, settings: Settings) -> Callback | None:
        return Guard(session, settings)

    @override
    def gradients(self, session: TrainingSession, rows: np.ndarray, settings: Settings) -> torch.Tensor:
        import torch
        from torch.nn.functional import cross_entropy

        if not augmenting(session):
            return super().gradients(session, rows, settings)
        random = generator(session, session.step)
        share = float(random.beta(settings["alpha"], settings["alpha"]))
        share = max(share, 1 - share)
        partners = torch.from_numpy(random.permutation(len(rows)))
        lengths = torch.from_numpy(session.tokenised.train.lengths[rows])
        with mixed(entrance(session), share, partners, torch.minimum(lengths, lengths[partners])):
            logits, labels = session.logits("train", rows)
        others = labels[partners.to(labels.device)]
        loss = share * cross_entropy(logits[0], labels) + (1 - share) * cross_entropy(logits[0], others)
        losses = (loss + sum(session.own_losses()))[None]
        losses.sum().backward()
        return losses


def entrance(session: TrainingSession) -> nn.Module:
    """The first adapted block."""
    shapes = session.shapes
    first = session.configuration.layers[0]
    return session.model.get_base_model().get_submodule(shapes.block(first))


@contextmanager
def mixed(block: nn.Module, share: float, partners: torch.Tensor, common: torch.Tensor) -> Iterator[None]:
    """Mix the rows that enter a block with their partners, for the length of a with block.

    Args:
        block: the block.
        share: s, the weight of the row itself.
        partners: the number of each row's partner, (B,).
        common: how many tokens of each row are mixed, the first ones, (B,).
    """
    import torch

    def mix(_: nn.Module, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        hidden = args[0] if args else kwargs["hidden_states"]
        places = torch.arange(hidden.shape[1], device=hidden.device)
        both = (places < common.to(hidden.device)[:, None])[..., None]
        new = torch.where(both, share * hidden + (1 - share) * hidden[partners.to(hidden.device)], hidden)
        return ((new, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": new})

    handle = block.register_forward_pre_hook(mix, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
