"""Which number format and attention make a training step fastest here: measured at start-up, not assumed."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

from autopeft.backbone.loading import Backbone, load_backbone
from autopeft.configuration import Configuration
from autopeft.proxy.job import Job
from autopeft.proxy.timing import fastest
from autopeft.proxy.trainer import Trainer
from autopeft.tasks.kind import TaskKind
from autopeft.tasks.tokens import TokenisedTask

if TYPE_CHECKING:
    from torch import nn


FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16}
ATTENTIONS = ("eager", "sdpa")
SLOWER = 3.0  # times as long as in fp32 a single product may take before a format is not timed


@dataclass(frozen=True)
class Precision:
    """The format of the frozen backbone and its attention, with the seconds per step of every pair that was tried.

    Adapters, the head and the optimiser's state are always fp32.
    """

    format: str
    attention: str
    seconds_per_step: dict[str, float]

    def to_json(self) -> dict:
        """The fields as JSON-ready values."""
        return asdict(self)

    @property
    def dtype(self) -> torch.dtype:
        """Torch's name of the format."""
        return FORMATS[self.format]

    def __str__(self) -> str:
        timings = ", ".join(f"{k} {1000 * v:.0f} ms" for k, v in self.seconds_per_step.items())
        return f"{self.format} with {self.attention} attention" + (f" ({timings} per step)" if timings else "")


def device() -> torch.device:
    """CUDA where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(
    backbone: Backbone, tokenised: TokenisedTask, probe: Configuration, batch_size: int, wanted: str = "auto"
) -> Precision:
    """Time training steps of a probe configuration in each format and attention; the fastest wins.

    Args:
        backbone: in fp32; it is converted in place, so load it anew with `resident` afterwards.
        tokenised: the task.
        probe: the configuration whose steps are timed.
        batch_size: rows of a step.
        wanted: "auto", or a format's name to leave only the attention to the timing.
    """
    formats = {k: v for k, v in FORMATS.items() if k == wanted or (wanted == "auto" and worth_timing(v))}
    seconds = {}
    for name, dtype in formats.items():
        backbone.model.to(device(), dtype)
        for attention in ATTENTIONS:
            if set_attention(backbone.model, attention):
                seconds[f"{name}/{attention}"] = seconds_per_step(backbone, tokenised, probe, batch_size)
    best = min(seconds, key=lambda pair: seconds[pair])
    number_format, attention = best.split("/")
    return Precision(number_format, attention, seconds)


def worth_timing(dtype: torch.dtype) -> bool:
    """Whether a product in a format is no slower than in fp32; without hardware for bf16 it takes a hundred times as long."""
    here = torch.nn.Linear(1, 1, device=device())

    def seconds(tried: torch.dtype) -> float:
        one = torch.ones(64, 256, dtype=tried, device=device())
        return fastest(lambda: one @ one.T, here)

    return dtype == torch.float32 or seconds(dtype) <= SLOWER * seconds(torch.float32)


def fixed_precision(backbone: Backbone, wanted: str = "auto") -> Precision:
    """What no timing decides: fp32 unless another format is asked for; sdpa on a CPU where the architecture has it.

    On CUDA eager attention, whose backward pass sums in a fixed order, which not every kernel of sdpa does.
    """
    attention = "sdpa" if device().type == "cpu" and set_attention(backbone.model, "sdpa") else "eager"
    return Precision("fp32" if wanted == "auto" else wanted, attention, {})


def pin() -> int:
    """One thread in this process, on CUDA kernels that sum in a fixed order; gives how many threads there were.

    Sums over several threads depend on how many there are, and so would a study on how many processes it has.
    """
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    return threads


def set_attention(model: nn.Module, attention: str) -> bool:
    """Switch the attention function; False where the architecture has no such implementation."""
    if model.config._attn_implementation == attention:
        return True
    try:
        model.set_attn_implementation(attention)
    except (ValueError, NotImplementedError, ImportError):
        return False
    return model.config._attn_implementation == attention


def seconds_per_step(backbone: Backbone, tokenised: TokenisedTask, probe: Configuration, batch_size: int) -> float:
    """Forward and backward of the probe on its first batch, after a warm-up."""
    return Trainer(backbone, tokenised, batch_size).seconds_per_step(Job(probe, seed=0, steps=1, until=1))


def resident(
    name: str,
    num_labels: int,
    precision: Precision,
    trust_remote_code: bool = False,
    words: tuple[str, ...] | None = None,
    kind: TaskKind | None = None,
) -> Backbone:
    """Load the backbone once in the chosen format, frozen, on the device where it stays for the whole study."""
    backbone = load_backbone(
        name,
        num_labels,
        dtype=precision.dtype,
        attention=precision.attention,
        trust_remote_code=trust_remote_code,
        words=words,
        kind=kind,
    )
    backbone.model.to(device())
    return backbone
