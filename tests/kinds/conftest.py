"""A checkpoint that every kind's search can start from."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, minilm) -> Path:
    """A BERT of three blocks of width 32, random, with MiniLM's own tokenizer."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-bert")
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(BertConfig(**sizes, max_position_embeddings=128)).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if (Path(minilm) / name).is_file():
            shutil.copy(Path(minilm) / name, folder)
    return folder
