"""The configurations that every toolkit is asked for: one of each kind, on a tiny model that is saved as a real one is."""

import shutil
from pathlib import Path

from export_cases import case
from tiny import tiny_config

from autopeft.export import Case, export
from autopeft.export.mechanisms.rows import COPY
from autopeft.export.mechanisms.trained_shapes import canonical, trained_shapes

KINDS = {  # what it is called in the table -> method and settings
    "LoRA": ("lora", {"rank": 4}),
    "LoRA, some layers": ("lora", {"rank": 4, "layers": "0,2"}),
    "LoRA, one module": ("lora", {"layers": "1", "target_modules": "query"}),
    "rsLoRA, every linear": ("lora", {"rslora": True, "target_modules": "all-linear"}),
    "LoRA, a rank per module": ("lora_ranks", {"attention_rank": 4, "ffn_rank": 4}),
    "DoRA, some layers": ("dora", {"layers": "1-2"}),
    "PiSSA": ("pissa", {"rank": 4}),
    "OLoRA": ("olora", {"rank": 4}),
    "MiCA": ("mica", {"rank": 4}),
    "LoRA, orthogonal start": ("orthogonal_lora", {"rank": 4}),
    "AdaLoRA": ("adalora", {}),
    "OFT": ("oft", {"block_size": 8}),
    "VeRA": ("vera", {}),
    "(IA)^3": ("ia3", {}),
    "(IA)^3, keys and values": ("ia3", {"target_modules": "key+value", "layers": "1-2"}),
    "serial adapter, Pfeiffer": ("serial_adapter", {"placement": "pfeiffer", "layers": "0,2"}),
    "serial adapter, Houlsby": ("serial_adapter", {"placement": "houlsby"}),
    "parallel adapter": ("parallel_adapter", {"layers": "1"}),
    "prefix tuning": ("prefix_tuning", {}),
    "DCFT": ("dcft", {}),
    "full fine-tuning": ("full", {}),
    "full, upper layers": ("full", {"layers": "1-2"}),
    "full, other layers": ("full_layers", {"layers": "0,2"}),
    "norms": ("ln_tuning", {"layers": "1-2"}),
    "biases": ("bitfit", {"layers": "1-2"}),
    "head only": ("head_only", {}),
}

THROUGH_PEFT = [  # what a toolkit expresses that hands LoRA to peft and unfreezes parameters by name
    "LoRA",
    "LoRA, some layers",
    "LoRA, one module",
    "rsLoRA, every linear",
    "DoRA, some layers",
    "PiSSA",
    "OLoRA",
    "MiCA",
    "LoRA, orthogonal start",
    "full fine-tuning",
    "full, upper layers",
    "full, other layers",
    "norms",
    "biases",
]


def asked(kind: str, model_type: str, toy: dict, causal: bool = False) -> Case:
    """The case of a kind; causal: of a study that trains a language model, which has no task head."""
    return case(*KINDS[kind], model_type=model_type, **toy, **({"task": "causal-lm"} if causal else {}))


def written(toolkit: str, cases: dict[str, Case], folder: Path) -> dict:
    """Every case's files in a folder of its kind's number; kind -> what the toolkit said of it."""
    done = {kind: export(toolkit, one, folder / number(kind)) for kind, one in cases.items()}
    for kind, one in cases.items():  # what data.py makes, where there is a model to copy
        if done[kind].files and one.no_dropout and Path(one.model).is_dir():
            shutil.copytree(one.model, Path(done[kind].folder) / COPY)
    return done


def number(kind: str) -> str:
    return str(list(KINDS).index(kind))


def trained_by_autopeft(one: Case) -> dict:
    """Name -> shape of what autopeft trains."""
    return trained_shapes(one.configuration, tiny_config(one.shapes.model_type), one.kind)


def shapes_of(found: dict) -> dict:
    """The same of what a toolkit says, by the names of the model beneath."""
    return {canonical(name): tuple(shape) for name, shape in found.items()}
