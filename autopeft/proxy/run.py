"""Run: one configuration in training, its parameters, optimiser and place in the data; saved and resumed bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import safetensors.torch
import torch
from torch import nn

from autopeft.backbone.loading import Backbone
from autopeft.base.recipe import learning_rate_factor
from autopeft.configuration import Configuration
from autopeft.methods.mechanisms.attach import is_head
from autopeft.methods.mechanisms.callback import Callback
from autopeft.procedures import get_procedure
from autopeft.proxy.job import Job
from autopeft.proxy.stopping import EarlyStopping, starting_with

Groups = list[tuple[list[str], float]]  # (names, learning rate) of the parts of what is trained


class Run:
    """What a job trains, and how far it has come.

    Args:
        job: begun anew, or resumed from its `state`.
        parameters: leaf tensors by name, of the method and of the head.
        groups: (names, learning rate) of each part.
    """

    def __init__(self, job: Job, parameters: dict[str, nn.Parameter], groups: Groups) -> None:
        self.job, self.parameters = job, parameters
        procedure = get_procedure(job.configuration.procedure)
        self.clip = procedure.clip
        self.optimiser = procedure.optimiser(
            [{"params": [parameters[n] for n in names], "lr": rate, "rate": rate} for names, rate in groups]
        )
        self.step = 0
        self.schedule: Callable[[int, int], float] = learning_rate_factor
        self.losses: list[torch.Tensor] = []  # since the last evaluation step
        self.failure: str | None = None
        self.stopping = EarlyStopping(job.patience) if job.patience else None
        self.rng = {"cpu": torch.Generator().manual_seed(job.seed).get_state()}  # of each device, once it has stepped
        self._callbacks: Sequence[Callback] = ()
        self._kept: dict[str, torch.Tensor] = {}  # of the callbacks, from the job's state
        if job.state is not None:
            self._load(job.state)

    @property
    def ended(self) -> bool:
        """Whether the run stands still while others of its pack go on: it has failed, or its patience is spent."""
        return self.failure is not None or (self.stopping is not None and self.stopping.stopped)

    def evaluated(self, loss: float) -> None:
        """Take the validation loss of an evaluation step."""
        if self.stopping:
            self.stopping.see(loss, self.parameters, self._callbacks)

    def restore_best(self) -> None:
        """Go back to the weights that count."""
        if self.stopping:
            self.stopping.restore(self.parameters, self._callbacks)

    def resume(self, callbacks: Sequence[Callback]) -> None:
        """Give the callbacks of this run the states they had when its own was saved."""
        self._callbacks = callbacks
        for number, callback in enumerate(callbacks):
            if mine := starting_with(f"part.{number}.", self._kept):
                callback.load(mine)
        if self.stopping and self._kept:
            self.stopping.load(starting_with("stopping.", self._kept), len(callbacks))

    def learn(self, loss: torch.Tensor, callbacks: Sequence[Callback] = ()) -> None:
        """One optimiser step on the gradients that are there; a loss that is no number ends the run."""
        self.losses.append(loss.detach())
        if not loss.is_cuda and not math.isfinite(loss.item()):  # on CUDA at evaluations: asking would wait every step
            self.failure = f"the loss was {loss.item()} at step {self.step + 1} of {self.job.steps}"
            return
        factor = self.schedule(self.step, self.job.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * factor
        for callback in callbacks:
            callback.before_update(self.step)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters.values(), self.clip)
        self.optimiser.step()
        for callback in callbacks:
            callback.after_update(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1

    def mean_loss(self) -> float:
        """The mean training loss since it was last asked for; NaN of none."""
        mean = torch.stack(self.losses).mean().item() if self.losses else math.nan
        self.losses.clear()
        if not math.isfinite(mean):
            self.failure = self.failure or f"the loss was {mean} before step {self.step} of {self.job.steps}"
        return mean

    def state(self) -> bytes:
        """All that is needed to go on, as safetensors: parameters, the optimiser's moments, random states, callbacks' states."""
        tensors = {"step": torch.tensor(self.step)} | {rng_key(device): x for device, x in self.rng.items()}
        if self.losses:  # between two evaluation steps
            tensors["losses"] = torch.stack(self.losses)
        if self.stopping:
            tensors |= {f"stopping.{name}": value for name, value in self.stopping.state().items()}
        for number, callback in enumerate(self._callbacks):
            tensors |= {f"part.{number}.{name}": value for name, value in callback.state().items()}
        for name, parameter in self.parameters.items():
            tensors[f"value.{name}"] = parameter.detach()
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"{key}.{name}"] = value
        whole = {k: v.cpu().contiguous().clone() for k, v in tensors.items()}
        return safetensors.torch.save(whole)

    @torch.no_grad()
    def _load(self, state: bytes) -> None:
        tensors = safetensors.torch.load(state)
        self.step = int(tensors.pop("step"))
        self.rng = {k.removeprefix("rng.") if k != "rng" else "cpu": x for k, x in tensors.items() if is_rng(k)}
        device = next((p.device for p in self.parameters.values()), torch.device("cpu"))
        self.losses = list(tensors.pop("losses").to(device)) if "losses" in tensors else []
        self._kept = {k: tensors.pop(k) for k in list(tensors) if k.startswith(("part.", "stopping."))}
        kept: dict[str, dict[str, torch.Tensor]] = {}  # parameter -> its value, and what the optimiser keeps of it
        for key, value in tensors.items():
            what, _, name = key.partition(".")
            kept.setdefault(name, {})[what] = value
        for name, parameter in self.parameters.items():
            parameter.copy_(kept[name].pop("value"))
            if kept[name]:
                self.optimiser.state[parameter] = {k: v.to(parameter.device) for k, v in kept[name].items()}


def rng_key(device: str) -> str:
    """The name of a device's random state among the saved tensors."""
    return "rng" if device == "cpu" else f"rng.{device}"


def is_rng(key: str) -> bool:
    """Whether a saved tensor is a random state."""
    return key == "rng" or key.startswith("rng.")


def parameter_groups(
    named: Mapping[str, nn.Parameter], backbone: Backbone, configuration: Configuration, head_learning_rate: float
) -> Groups:
    """(names, learning rate): the method's parameters at the configuration's rate and the head's at its own."""
    head, rate = backbone.shapes.head_modules, configuration.learning_rate
    return [
        ([n for n in named if not is_head(n, head)], rate),
        ([n for n in named if is_head(n, head)], rate if configuration.method == "head_only" else head_learning_rate),
    ]
