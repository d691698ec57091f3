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
