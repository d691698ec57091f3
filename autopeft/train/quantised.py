"""A backbone whose linears are rounded to 4 or 8 bits (bitsandbytes); head, norms and embeddings are in bf16."""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from autopeft.backbone.loading import Backbone, load_backbone
from autopeft.base.errors import AutopeftError
from autopeft.tasks.task import Task
from autopeft.tasks.tokens import TokenisedTask, tokenise

if TYPE_CHECKING:
    from autopeft.train.training import FullTraining


def load_quantised(training: "FullTraining", bits: str, task: Task) -> tuple[Backbone, TokenisedTask]:
    """Load the rounded backbone and the data.

    Args:
        training: Whose study.
        bits: "4bit" or "8bit".
        task: The study's.

    Raises:
        AutopeftError: bitsandbytes cannot run on this machine.
    """
    from transformers import BitsAndBytesConfig
    from transformers.integrations.bitsandbytes import validate_bnb_backend_availability

    if not validate_bnb_backend_availability():
        raise AutopeftError("--quantize needs a GPU, or a bitsandbytes that runs on this machine: leave it out.")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells of a cast at every product
    spec, shapes = training.spec, training.result.data.shapes
    ways: dict[str, dict[str, Any]] = {
        "4bit": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16},
        "8bit": {"load_in_8bit": True},
    }
    backbone = load_backbone(
        spec.model,
        task.outputs,
        dtype=torch.bfloat16,
        attention="sdpa",
        trust_remote_code=spec.trust_remote_code,
        words=spec.words(task.label_names),
        kind=task.kind,
        quantization=BitsAndBytesConfig(llm_int8_skip_modules=list(shapes.head_modules), **ways[bits]),
    )
    backbone = replace(backbone, shapes=shapes)  # rounded weights are stored packed, in other sizes
    return backbone, tokenise(task, backbone.tokenizer, spec.max_length, spec.pattern)


def pass_gradients(model: nn.Module) -> None:
    """Put rounded linears into training mode: on a CPU their inference kernels have no backward pass."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    for module in model.modules():
        if isinstance(module, Linear4bit | Linear8bitLt):
            module.training = True
