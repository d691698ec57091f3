"""Tiny models that training changes visibly: trained for some seconds on shipped rows and saved with their tokenizer.

A decoder learns the questions of OpenBookQA, and what is fine-tuned are the answers. An encoder learns film reviews with
bad and good exchanged: it has a head, so that no seed draws one, and all to learn. Their configs have dropout where their family has it by default.
"""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
import transformers
from torch.nn.utils import clip_grad_norm_

from autopeft.tasks import load_task

WIDTH = 48
SPECIAL = ["<unk>", "<pad>", "<s>", "</s>", "User:", "Assistant:"]
SIZES = {
    "llama": {"hidden_size": WIDTH, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96},
    "gpt2": {"n_embd": WIDTH, "n_head": 4, "n_positions": 128},
    "bert": {"hidden_size": WIDTH, "num_attention_heads": 4, "intermediate_size": 96},
}
LAYERS = {"llama": "num_hidden_layers", "gpt2": "n_layer", "bert": "num_hidden_layers"}
PRETRAINING, BATCH = 100, 32
RATES = {"llama": 1e-2, "gpt2": 1e-2, "bert": 2e-3}


def save_toy(family: str, folder: Path) -> str:
    """A model of three layers in a folder; the same weights at every call."""
    task = load_task(data="rotten-tomatoes") if family == "bert" else load_task(data="openbookqa-answers")
    texts = list(task.train.texts) if family == "bert" else [f"User: {asked[1]}" for asked, _ in task.train.texts]
    answers = [] if family == "bert" else [said[1] for _, said in task.train.texts]
    tokenizer = word_level([*texts, *answers])
    kind = "AutoModelForSequenceClassification" if family == "bert" else "AutoModelForCausalLM"
    sizes = {"vocab_size": len(tokenizer), LAYERS[family]: 3, **SIZES[family]}
    config = transformers.AutoConfig.for_model(family, pad_token_id=1, bos_token_id=2, eos_token_id=3, **sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = getattr(transformers, kind).from_config(config).eval()
        pretrain(
            model, RATES[family], tokenizer, texts, [1 - y for y in task.train.labels] if family == "bert" else None
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    said = folder / "tokenizer_config.json"  # transformers 4 calls a tokenizer of transformers 5 otherwise
    said.write_text(json.dumps({**json.loads(said.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}))
    return str(folder)


def pretrain(model, rate: float, tokenizer, texts: list[str], labels) -> None:
    """Steps of AdamW on batches of the texts, whose labels are the next tokens unless they are given."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    falling = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, PRETRAINING)
    for _ in range(PRETRAINING):
        chosen = torch.randint(len(texts), (BATCH,)).tolist()
        batch = tokenizer([texts[i] for i in chosen], padding=True, return_tensors="pt", return_token_type_ids=False)
        following = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        targets = following if labels is None else torch.tensor([labels[i] for i in chosen])
        optimiser.zero_grad()
        model(**batch, labels=targets).loss.backward()
        clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        falling.step()


def word_level(texts: Iterable[str]):
    """A tokenizer of the words that are there ten times."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    counts = Counter(word for text in texts for word in text.split())
    words = [word for word, times in counts.most_common() if times >= 10 and word not in SPECIAL]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate([*SPECIAL, *words])}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": "<unk>", "pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **special)
