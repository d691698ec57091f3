"""The bytes of all live tensors, counted at every operation of torch: a measurement that needs no device."""

import weakref
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tracker(TorchDispatchMode):
    """Adds a storage when an operation first returns it and takes it off when it is freed; `peak` in bytes."""

    def __init__(self, present=()):
        super().__init__()
        self.live: dict[int, int] = {}
        self.now = self.peak = 0
        for tensor in present:
            self.see(tensor)

    def see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.live:
            return
        self.live[key] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.gone, key)

    def gone(self, key: int) -> None:
        self.now -= self.live.pop(key, 0)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor) and leaf.layout == torch.strided:
                self.see(leaf)
        return out


@contextmanager
def tracked(model):
    """Everything that lives while a with block runs: the model's tensors from the start."""
    present = {id(t): t for t in [*model.parameters(), *model.buffers(), *buffers_of(model)]}
    with Tracker(present.values()) as tracker:
        yield tracker


def buffers_of(model):
    """Tensors that modules hold as plain attributes."""
    for module in model.modules():
        for value in vars(module).values():
            if isinstance(value, torch.Tensor):
                yield value
