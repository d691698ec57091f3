"""A plan -> its backbone with linears of 4 or 8 bits (bitsandbytes); the head, norms and embeddings are in bf16."""

import logging
from dataclasses import replace

import torch

from autopeft.backbone.loading import Backbone, load_backbone
from autopeft.base.errors import AutopeftError
from autopeft.tasks.task import Task
from autopeft.tasks.tokens import TokenisedTask, tokenise


def load_quantised(plan, task: Task) -> tuple[Backbone, TokenisedTask]:
    """The backbone rounded as the plan says, and the data. Raises AutopeftError where bitsandbytes cannot run."""
    from transformers import BitsAndBytesConfig
    from transformers.integrations.bitsandbytes import validate_bnb_backend_availability

    if not validate_bnb_backend_availability():
        raise AutopeftError("--quantize needs a GPU, or a bitsandbytes that runs on this machine: leave it out.")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells of a cast at every product
    spec, shapes = plan.spec, plan.result.data.shapes
    rounding = {
        "4bit": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16},
        "8bit": {"load_in_8bit": True},
    }[plan.recipe.quantize]
    backbone = load_backbone(
        spec.model,
        task.outputs,
        dtype=torch.bfloat16,
        attention="sdpa",
        trust_remote_code=spec.trust_remote_code,
        words=spec.words(task.label_names),
        kind=task.kind,
        quantization=BitsAndBytesConfig(llm_int8_skip_modules=list(shapes.head_modules), **rounding),
    )
    backbone = replace(backbone, shapes=shapes)  # rounded weights are stored packed, in other sizes
    return backbone, tokenise(task, backbone.tokenizer, spec.max_length, spec.pattern)


def pass_gradients(model) -> None:
    """Rounded linears run as in training (on a CPU their inference kernels have no backward pass); no dropout does."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    for module in model.modules():
        if isinstance(module, Linear4bit | Linear8bitLt):
            module.training = True
