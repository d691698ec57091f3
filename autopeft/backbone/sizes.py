"""A model's config.json -> BackboneShapes, without weights; torch is loaded only for a config not seen before."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

from autopeft.backbone.resolve import resolve
from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.base.packages import cache_folder
from autopeft.tasks.kind import TaskKind, get_kind

FORMAT = 5  # of the cached sizes; raise it when `describe` changes


def shapes_of(
    name: str, num_labels: int = 2, trust_remote_code: bool = False, kind: TaskKind | None = None
) -> BackboneShapes:
    """Count a backbone on the meta device from its config alone; the answer is kept in the user's cache.

    Args:
        name: a folder with a config.json, a built-in name or a hub name.
        num_labels: C, the outputs of the head.
        trust_remote_code: run code that comes with the config.
        kind: of the task whose head it gets (None: text classification).

    Raises:
        AutopeftError: there is no readable config, or no such architecture.
    """
    folder, kind = resolve(name), kind or get_kind()
    config = Path(folder) / "config.json"
    if not config.is_file():
        return _measure(name, folder, num_labels, trust_remote_code, kind)
    key = hashlib.sha256(
        "\n".join(
            [config.read_text(encoding="utf-8"), str(num_labels), version("transformers"), str(FORMAT), kind.name]
        ).encode()
    )
    cached = cache_folder() / "sizes" / f"{key.hexdigest()[:24]}.json"
    if cached.is_file():
        return BackboneShapes.from_json({**json.loads(cached.read_text(encoding="utf-8")), "name": name})
    shapes = _measure(name, folder, num_labels, trust_remote_code, kind)
    _keep(cached, shapes)
    return shapes


def _measure(name: str, folder: str, num_labels: int, trust_remote_code: bool, kind: TaskKind) -> BackboneShapes:
    """Build the architecture on the meta device, where nothing is allocated, and read its sizes off."""
    import torch
    import transformers

    from autopeft.backbone.blocks import describe
    from autopeft.backbone.loading import read_config

    config = read_config(name, folder, num_labels, trust_remote_code)
    try:
        with torch.device("meta"):
            model = getattr(transformers, kind.auto_model).from_config(config, trust_remote_code=trust_remote_code)
    except ValueError:
        raise AutopeftError(
            f"{name} is a {config.model_type} model, which transformers cannot use for {kind.title}."
        ) from None
    return describe(model, name, kind)


def _keep(path: Path, shapes: BackboneShapes) -> None:
    """Cache the sizes; a cache that cannot be written costs a second next time, no more."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{hashlib.sha256(shapes.name.encode()).hexdigest()[:6]}.part")
        beside.write_text(json.dumps(shapes.to_json()), encoding="utf-8")
        beside.replace(path)
    except OSError:
        return
