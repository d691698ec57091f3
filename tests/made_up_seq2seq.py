"""Tiny random T5 and BART checkpoints with SmolLM2's real tokenizer.

`python tests/made_up_seq2seq.py t5 FOLDER` or `bart FOLDER` writes one.
"""

import sys
from pathlib import Path

WIDTH, ENCODER, DECODER = 32, 3, 2


def save_tiny_seq2seq(model_type: str, folder: Path) -> str:
    """3 blocks of an encoder, 2 of a decoder, the same weights at every call."""
    import torch
    from tiny_lm import smollm2_tokenizer
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    tokenizer = smollm2_tokenizer()
    ids = {"vocab_size": len(tokenizer), "decoder_start_token_id": 0}
    ids |= {"pad_token_id": tokenizer.eos_token_id, "eos_token_id": tokenizer.eos_token_id}
    sizes = {
        "t5": {"d_kv": 8, "d_ff": 64, "num_heads": 4, "num_layers": ENCODER, "num_decoder_layers": DECODER},
        "bart": {
            "encoder_layers": ENCODER,
            "decoder_layers": DECODER,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "max_position_embeddings": 128,
            "bos_token_id": 0,
            "forced_eos_token_id": None,
        },
    }
    config = AutoConfig.for_model(model_type, d_model=WIDTH, **ids, **sizes[model_type])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoModelForSeq2SeqLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


if __name__ == "__main__":
    save_tiny_seq2seq(sys.argv[1], Path(sys.argv[2]))
