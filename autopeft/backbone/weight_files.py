"""The weight files of a model's folder -> whether they are whole, by their headers and sizes alone."""

import json
from pathlib import Path

from autopeft.backbone.fingerprint import local_folder
from autopeft.base.errors import AutopeftError


def check_weights(name: str) -> None:
    """Refuse a model whose safetensors are cut short or missing.

    Args:
        name: of the model; one that is not on this machine is not looked at.

    Raises:
        AutopeftError: a file is not whole, the folder has no weights, or only pickled ones.
    """
    folder = local_folder(name)
    if folder is None:
        return
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        pickled = any(folder.glob("*.bin"))
        raise AutopeftError(
            f"The checkpoint of {name} is a pickle (.bin), which autopeft does not open: convert it to safetensors first."
            if pickled
            else f"The folder {name} holds no weights (no .safetensors file): fetch the checkpoint again."
        )
    for path in found:
        if not is_whole(path):
            raise AutopeftError(
                f"The checkpoint of {name} cannot be read, {path.name} may be truncated: fetch the checkpoint again."
            )


def is_whole(path: Path) -> bool:
    """Whether a safetensors file has the bytes that its header promises. Raises AutopeftError if it cannot be read."""
    try:
        size, file = path.stat().st_size, path.open("rb")
    except OSError as error:
        raise AutopeftError(
            f"{path} cannot be read ({error.strerror}): change its permissions or fetch it again."
        ) from None
    with file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 + length:
            return False
        try:
            header = json.loads(file.read(length))
            ends = [t["data_offsets"][1] for key, t in header.items() if key != "__metadata__"]
        except (ValueError, AttributeError, KeyError, TypeError, IndexError):
            return False
    return size == 8 + length + max(ends, default=0)
