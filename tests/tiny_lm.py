"""Tiny random decoders with an LM head, saved with the real SmolLM2 tokenizer: text in, text out, in milliseconds."""

from functools import cache
from pathlib import Path

WIDTH, LAYERS = 32, 3


@cache
def smollm2_tokenizer():
    from transformers import AutoTokenizer

    from autopeft.backbone.resolve import resolve

    return AutoTokenizer.from_pretrained(resolve("smollm2-135m"))


def save_tiny_lm(folder: Path, tied: bool = True) -> str:
    """A Llama of 3 layers, width 32, in a folder; the same weights at every call."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = smollm2_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=64,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        tie_word_embeddings=tied,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def tiny_lm_backbone(model_type: str):
    """A tiny model of tests/tiny.py with its LM head, as the Backbone that trials share; no tokenizer."""
    import torch
    from tiny import tiny_config
    from transformers import AutoModelForCausalLM

    from autopeft.backbone.blocks import describe
    from autopeft.backbone.loading import Backbone
    from autopeft.tasks.kind import get_kind

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(tiny_config(model_type), attn_implementation="eager")
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    model.eval().requires_grad_(False)
    return Backbone(model_type, model, None, describe(model, model_type, get_kind("causal-lm")), ())


def tiny_lm_task(rows: int = 16, kind: str = "causal-lm"):
    """A TokenisedTask of made-up rows of 6 to 11 tokens; of each the last third is to be predicted."""
    import numpy as np
    from tiny import PAD, VOCABULARY

    from autopeft.tasks.kind import get_kind
    from autopeft.tasks.language import IGNORED, split_of
    from autopeft.tasks.task import Split, Task
    from autopeft.tasks.tokens import TokenisedTask

    draw, made = np.random.default_rng(0), []
    for _ in range(rows):
        ids = draw.integers(4, VOCABULARY, draw.integers(6, 12)).tolist()
        context = len(ids) * 2 // 3
        made.append((ids, [IGNORED] * context + ids[context:]))
    split, nothing = split_of(get_kind(kind), made, 0), Split((), ())
    task = Task("tiny", (), "log-likelihood", nothing, nothing, nothing, kind=get_kind(kind))
    return TokenisedTask(split, split, split, PAD, task)
