"""Which weights a model has, told from a few kilobytes of each file: enough to notice that another model lies there.

Hashed are the config, the names and sizes of the weight files, the tensors' names, formats and shapes, and 64 bytes from
the middle of each tensor (of a file that is not safetensors: 64 bytes at 64 places). Further training changes nearly
every value of what it trains and is noticed; a change of single values elsewhere is not.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from autopeft.backbone.resolve import resolve

WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")
INCIDENTAL = ("transformers_version", "_name_or_path")  # of a config: they say who wrote it
SAMPLE = 64  # bytes read at each place
PLACES = 64  # in a file whose tensors are not listed


def backbone_fingerprint(name: str) -> str:
    """A model's name or folder -> a SHA-256 of its config and weights' identity; of the name if no file is at hand."""
    folder = local_folder(name)
    digest = hashlib.sha256()
    if folder is None:
        digest.update(name.encode())
        return digest.hexdigest()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kept = {k: v for k, v in config.items() if k not in INCIDENTAL}
    digest.update(json.dumps(kept, sort_keys=True).encode())
    for path in sorted(p for pattern in WEIGHTS for p in folder.glob(pattern)):
        for piece in pieces(path):
            digest.update(piece)
    return digest.hexdigest()


def local_folder(name: str) -> Path | None:
    """Where a model's files lie: its own folder, or that of its snapshot in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    folder = Path(resolve(name))
    if (folder / "config.json").is_file():
        return folder
    try:
        cached = try_to_load_from_cache(name, "config.json")
    except HFValidationError:  # no model can have this name
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def pieces(path: Path) -> Iterator[bytes]:
    """What is hashed of one weight file."""
    size = path.stat().st_size
    yield f"{path.name} {size}\n".encode()
    with path.open("rb") as file:
        if path.suffix == ".safetensors":
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, size)))
            header.pop("__metadata__", None)
            yield json.dumps(header, sort_keys=True).encode()
            places = [8 + length + sum(t["data_offsets"]) // 2 for t in header.values()]
        else:
            places = [size * i // PLACES for i in range(PLACES)]
        for place in sorted(places):
            file.seek(place)
            yield file.read(SAMPLE)
