"""Tiny random T5 and BART checkpoints, each with a byte-level tokenizer learnt from texts.

`python tests/made_up_seq2seq.py t5 FOLDER` or `bart FOLDER` writes one whose tokenizer has read openbookqa-answers.
"""

import sys
from pathlib import Path

WIDTH, ENCODER, DECODER = 64, 3, 2
VOCABULARY = 2000


def tokenizer_of(texts: list[str]):
    """At most VOCABULARY tokens; 0 pads and begins what a decoder writes, 1 ends it."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    learnt = ByteLevelBPETokenizer()
    learnt.train_from_iterator(texts, VOCABULARY, special_tokens=["<pad>", "</s>"], show_progress=False)
    return PreTrainedTokenizerFast(tokenizer_object=learnt._tokenizer, pad_token="<pad>", eos_token="</s>")


def save_tiny_seq2seq(model_type: str, folder: Path, texts: list[str]) -> str:
    """3 blocks of an encoder, 2 of a decoder, the same weights at every call."""
    import torch
    from transformers import AutoConfig, AutoModelForSeq2SeqLM

    tokenizer = tokenizer_of(texts)
    ids = {"vocab_size": len(tokenizer), "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    sizes = {
        "t5": {"d_kv": 16, "d_ff": 128, "num_heads": 4, "num_layers": ENCODER, "num_decoder_layers": DECODER},
        "bart": {
            "encoder_layers": ENCODER,
            "decoder_layers": DECODER,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 128,
            "decoder_ffn_dim": 128,
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
    from autopeft.tasks import load_task

    chats = load_task("openbookqa-answers").train.texts
    save_tiny_seq2seq(sys.argv[1], Path(sys.argv[2]), [content for chat in chats for _, content in chat])
