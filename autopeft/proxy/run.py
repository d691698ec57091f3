"""Run: one configuration in training, its parameters, optimiser and place in the data; saved and taken up bit for bit."""

import math
from collections.abc import Sequence

import safetensors.torch
import torch
from torch import nn

from autopeft.base.recipe import BETAS, CLIP, EPSILON, WEIGHT_DECAY, learning_rate_factor
from autopeft.proxy.job import Job


class Run:
    """parameters: name -> leaf tensor, of the method and of the head; groups: (names, learning rate) of each part."""

    def __init__(self, job: Job, parameters: dict[str, nn.Parameter], groups: list[tuple[list[str], float]]):
        self.job, self.parameters = job, parameters
        self.optimiser = torch.optim.AdamW(
            [{"params": [parameters[n] for n in names], "lr": rate, "rate": rate} for names, rate in groups],
            betas=BETAS,
            eps=EPSILON,
            weight_decay=WEIGHT_DECAY,
            fused=True,
        )
        self.step = 0
        self.schedule = learning_rate_factor
        self.losses: list[torch.Tensor] = []  # since the last mark
        self.failure: str | None = None
        self.rng = torch.Generator().manual_seed(job.seed).get_state()
        self._parts: list = []  # what acts around the steps and has a state of its own
        self._kept: dict[str, torch.Tensor] = {}  # of the parts, from the job's state
        if job.state is not None:
            self._load(job.state)

    def take_up(self, parts: list) -> None:
        """Give the `Dynamics` of this run what they had when its state was saved."""
        self._parts = parts
        for number, part in enumerate(parts):
            prefix = f"part.{number}."
            if mine := {k.removeprefix(prefix): v for k, v in self._kept.items() if k.startswith(prefix)}:
                part.load(mine)

    def learn(self, loss: torch.Tensor, dynamics: Sequence = ()) -> None:
        """One optimiser step on the gradients that are there; a loss that is no number ends the run."""
        self.losses.append(loss.detach())
        if not loss.is_cuda and not math.isfinite(loss.item()):  # on CUDA at the marks: asking would wait every step
            self.failure = f"the loss was {loss.item()} at step {self.step + 1} of {self.job.steps}"
            return
        factor = self.schedule(self.step, self.job.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * factor
        for part in dynamics:
            part.before_update(self.step)
        nn.utils.clip_grad_norm_(self.parameters.values(), CLIP)
        self.optimiser.step()
        for part in dynamics:
            part.after_update(self.step)
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
        """Parameters, both moments of AdamW, the random state, the step and its parts' own, as safetensors."""
        tensors = {"rng": self.rng, "step": torch.tensor(self.step)}
        for number, part in enumerate(self._parts):
            tensors |= {f"part.{number}.{name}": value for name, value in part.state().items()}
        for name, parameter in self.parameters.items():
            tensors[f"value.{name}"] = parameter.detach()
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"{key}.{name}"] = value
        whole = {k: v.cpu().contiguous().clone() for k, v in tensors.items()}
        return safetensors.torch.save(whole)

    @torch.no_grad()
    def _load(self, state: bytes) -> None:
        tensors = safetensors.torch.load(state)
        self.rng, self.step = tensors.pop("rng"), int(tensors.pop("step"))
        self._kept = {k: v for k, v in tensors.items() if k.startswith("part.")}
        for name, parameter in self.parameters.items():
            parameter.copy_(tensors[f"value.{name}"])
            moments = {k: tensors[f"{k}.{name}"] for k in ("step", "exp_avg", "exp_avg_sq") if f"{k}.{name}" in tensors}
            if moments:
                self.optimiser.state[parameter] = {k: v.to(parameter.device) for k, v in moments.items()}
