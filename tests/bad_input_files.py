"""The files that tests/bad_inputs.py names: a tiny model, whole and broken in many ways, tables, spaces, studies."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

GOOD = [(f"the film is {'good' if n % 2 else 'bad'} {n}", "pos" if n % 2 else "neg") for n in range(40)]
HEAD = "text,label\n"
ROWS = "".join(f"{text},{label}\n" for text, label in GOOD)
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *["the", "film", "is", "good", "bad", "a", "which", "of"],
    *map(str, range(60)),
]

TABLES: dict[str, str | bytes] = {
    "ok.csv": HEAD + ROWS,
    "empty.csv": "",
    "blank.csv": "\n\n\n",
    "header.csv": HEAD,
    "one.csv": HEAD + "the film,pos\n",
    "six.csv": HEAD + "".join(ROWS.splitlines(keepends=True)[:6]),
    "ragged.csv": HEAD + ROWS + "a film, which is good,pos\n",
    "mostly-ragged.csv": HEAD + "a film, the good, is bad,pos\n" * 30 + ROWS,
    "open-quote.csv": HEAD + ROWS + '"a film,pos\nthe film,neg\n',
    "nul.csv": HEAD + ROWS + "a\0film,pos\n",
    "latin.csv": (HEAD + ROWS + "fil\xe9,pos\n").encode("latin-1"),
    "utf16.csv": (HEAD + ROWS).encode("utf-16"),
    "picture.csv": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "twice.csv": "text,text,label\n" + "a,b,pos\n" * 20,
    "one-class.csv": HEAD + "".join(f"film {n},pos\n" for n in range(40)),
    "lone-class.csv": HEAD + ROWS + "the film 77,odd\n",
    "no-labels.csv": HEAD + "".join(f"film {n},\n" for n in range(40)),
    "some-labels.csv": HEAD + ROWS + "".join(f"bad film {n},\n" for n in range(5)),
    "no-texts.csv": HEAD + ",pos\n,neg\n" * 20,
    "numbers.csv": HEAD + "".join(f"{n},{n % 2}\n" for n in range(40)),
    "measured.csv": HEAD + "".join(f"film {n},{n / 7}\n" for n in range(60)),
    "same.csv": HEAD + "the film,pos\n" * 40,
    "two-texts.csv": HEAD + "the film,pos\na film,neg\n" * 20,
    "contradictory.csv": HEAD + "the film,pos\nthe film,neg\n" * 20,
    "some-contradictory.csv": HEAD + ROWS + "the film is bad 0,pos\n",
    "no-columns.csv": "a,b\n" + ROWS,
    "three.csv": "first,second,label\n" + "".join(f"film {n},the film {n},{n % 2}\n" for n in range(40)),
    "grouped.csv": "text,label,who\n" + "".join(f"film {n},{'ab'[n % 2]},{'xy'[n % 2]}\n" for n in range(40)),
    "strange.csv": HEAD + "".join(f"квёц жшщ{n} ыэю,{'ab'[n % 2]}\n" for n in range(40)),
    "long.csv": HEAD + ROWS + "the film " * 50 + ",pos\n",
    "texts.txt": "the film\n",
    "nosuffix": "the film\n",
    "table.xlsx": b"PK\x03\x04",
    "torn.jsonl": '{"text": "a", "label": "b"}\n{"text": \n',
    "list.jsonl": "[1, 2]\n",
    "word.jsonl": '"text"\n',
    "nan.jsonl": '{"text": NaN, "label": "a"}\n' * 20,
    "nested.jsonl": "".join(json.dumps({"text": {"a": n}, "label": "ab"[n % 2]}) + "\n" for n in range(40)),
    "numbers.jsonl": "".join(json.dumps({"text": n, "label": "ab"[n % 2]}) + "\n" for n in range(40)),
    "blank.jsonl": "\n",
    "torn.json": '[{"text": "a"',
    "object.json": '{"text": "a"}',
    "words.json": '["a", "b"]',
    "torn.parquet": b"PAR1 torn",
    "spans.jsonl": "".join(
        json.dumps({"question": f"q {n}", "context": "c", "answers": "x"}) + "\n" for n in range(20)
    ),
    "choice.jsonl": "".join(json.dumps({"question": f"q {n}", "choices": ["a"], "label": 0}) + "\n" for n in range(20)),
    "right.jsonl": "".join(
        json.dumps({"question": f"q {n}", "choices": ["a", "b"], "label": 7}) + "\n" for n in range(20)
    ),
    "chats.jsonl": "".join(json.dumps({"messages": [{"role": "boss", "content": "x"}]}) + "\n" for n in range(20)),
    "tags.jsonl": "".join(json.dumps({"words": ["a", "b"], "tags": ["x"]}) + "\n" for n in range(20)),
    "points.csv": "a,b\n1,2\n3,4\n",
    "words.csv": "a,b\nx,y\n",
}

SPACES = {
    "huge": "methods: {lora: {rank: [huge]}}",
    "minus": "methods: {lora: {rank: [-2]}}",
    "zero": "methods: {lora: {rank: [0]}}",
    "half": "methods: {lora: {rank: [2.5]}}",
    "infinite": "methods: {lora: {rank: [.inf]}}",
    "truth": "methods: {lora: {rank: [true]}}",
    "nothing": "methods: {lora: {rank: []}}",
    "wide": "methods: {lora: {rank: [4096]}}",
    "maybe": "methods: {lora: {rslora: [maybe]}}",
    "target": "methods: {lora: {target_modules: [qurey]}}",
    "target-number": "methods: {lora: {target_modules: [3]}}",
    "variant": "methods: {road: {variant: [road_9]}}",
    "density": "methods: {lift: {density: [dense]}}",
    "setting": "methods: {lora: {rnk: [8]}}",
    "mapping": "methods: {lora: {rank: {low: 1}}}",
    "list-setting": "methods: {lora: [8]}",
    "method": "methods: [loar]",
    "method-number": "methods: [3]",
    "methods-number": "methods: 3",
    "no-methods": "methods:",
    "empty-methods": "methods: {}",
    "no-key": "description: nothing",
    "key": "methds: [lora]",
    "list": "- lora",
    "word": "lora",
    "yaml": "methods: {lora: [}",
    "tab": "methods:\n\tlora:",
    "binary": "\x00\x01",
    "procedure": "methods: [lora]\nprocedures: [unknown]",
    "procedure-mapping": "methods: [lora]\nprocedures: {lisaa: {}}",
    "procedure-setting": "methods: [lora]\nprocedures: {lisa: {gama: [1]}}",
    "procedure-value": "methods: [lora]\nprocedures: {lisa: {gamma: [0]}}",
    "layers": "methods: [lora]\nlayers: some",
    "frozen": "methods: [lora]\nfrozen_layers: [99]",
    "frozen-word": "methods: [lora]\nfrozen_layers: [deep]",
    "frozen-number": "methods: [lora]\nfrozen_layers: 2",
    "width": "methods: [lora]\nreference_hidden_size: 0",
    "width-word": "methods: [lora]\nreference_hidden_size: wide",
    "parts": "combination: {loar: {}}",
    "alike": "combination: [lora, dora]",
    "seq2seq": "methods: {context_pruning: {}}",
    "object": "!!python/object:os.system {}",
}

STUDIES = {
    "key": "budgt: 3%",
    "trials": "trials: none",
    "trials-list": "trials: [3]",
    "precision": "precision: fp64",
    "list": "- trials",
    "word": "trials",
    "yaml": "trials: {",
    "seed": "seed: 99999999999999999999999",
    "seed-word": "seed: lucky",
    "limit": "limit: {train-memory: lots}",
    "limit-number": "limit: 3",
    "bool": "ceiling: perhaps",
    "epochs": "epochs: .inf",
    "missing": "missing_labels: guess",
    "conflicts": "conflicts: guess",
    "text": "text: [a, b]",
    "rungs": "rungs: [1, 2]",
    "nested": "data: {train: ok.csv}",
    "empty-model": "model: ''",
    "time": "time: 3 parsecs",
    "cache": "prefix_cache: lots",
    "storage": "storage: 3",
    "transfer": "transfer: nosuch",
    "both": "full_steps: 10\nepochs: 5",
}


def write_all(place: Path) -> None:
    """Write everything into a folder."""
    for name, content in TABLES.items():
        (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for folder, files in (("spaces", SPACES), ("studies", STUDIES)):
        (place / folder).mkdir()
        for name, text in files.items():
            (place / folder / f"{name}.yaml").write_text(text)
    pd.DataFrame({"text": [b"\xff"] * 20, "label": ["a", "b"] * 10}).to_parquet(place / "bytes.parquet")
    pd.DataFrame({"text": [np.arange(3)] * 20, "label": ["a", "b"] * 10}).to_parquet(place / "arrays.parquet")
    write_models(place)
    write_folders(place)


def write_models(place: Path) -> None:
    """A tiny BERT with its tokenizer in `model`, and copies of it that lack something or hold something damaged."""
    from tiny import tiny_model
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tiny_model("bert").save_pretrained(place / "model")
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {f"{what}_token": f"[{what.upper()}]" for what in ("unk", "pad", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=made, **special).save_pretrained(place / "model")
    for name in BROKEN:
        shutil.copytree(place / "model", place / name)
        BROKEN[name](place / name)


def only(folder: Path, *patterns: str) -> None:
    for path in list(folder.iterdir()):
        if not any(path.match(pattern) for pattern in patterns):
            path.unlink()


def changed(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def cut(path: Path, to: int) -> None:
    path.write_bytes(path.read_bytes()[:to])


BROKEN = {
    "no-tokenizer": lambda f: only(f, "config.json", "*.safetensors"),
    "no-weights": lambda f: (f / "model.safetensors").unlink(),
    "no-config": lambda f: (f / "config.json").unlink(),
    "torn-config": lambda f: cut(f / "config.json", 40),
    "list-config": lambda f: (f / "config.json").write_text("[]"),
    "empty-config": lambda f: (f / "config.json").write_text("{}"),
    "other-type": lambda f: changed(f / "config.json", model_type="nosuch"),
    "no-layers": lambda f: changed(f / "config.json", num_hidden_layers=0),
    "torn-weights": lambda f: cut(f / "model.safetensors", 5000),
    "short-weights": lambda f: cut(f / "model.safetensors", (f / "model.safetensors").stat().st_size - 8),
    "tiny-weights": lambda f: cut(f / "model.safetensors", 4),
    "wrong-weights": lambda f: (f / "model.safetensors").write_bytes(b"x" * 100),
    "pickled": lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"),
    "torn-tokenizer": lambda f: cut(f / "tokenizer.json", 100),
    "big-tokenizer": lambda f: changed(f / "config.json", vocab_size=20),
}


def write_folders(place: Path) -> None:
    """Folders that are no study, no dataset and no adapter."""
    (place / "empty").mkdir()
    (place / "file").touch()
    for name, text in {
        "torn-study": '{"format": 2, "spec": {',
        "list-study": "[]",
        "old-study": '{"format": 99}',
        "bare-study": "{}",
    }.items():
        (place / name).mkdir()
        (place / name / "study.json").write_text(text)
    (place / "torn-dataset").mkdir()
    (place / "torn-dataset" / "state.json").write_text("{")
    (place / "torn-adapter").mkdir()
    (place / "torn-adapter" / "adapter_config.json").write_text("{")
    (place / "torn-adapter" / "adapter_model.safetensors").write_bytes(b"x")
