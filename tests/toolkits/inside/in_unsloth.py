"""Unsloth's own parser on unsloth.yaml: FOLDER ... -> folder's name -> the keywords that its trainer is given."""

import json
import sys
from pathlib import Path

from unsloth_cli.config import load_config


def keywords(folder: Path) -> dict:
    config = load_config(folder / "unsloth.yaml")
    full = config.training.training_type == "full"
    return {"model": config.model_kwargs(use_lora=not full, is_vision=False), "training": config.training_kwargs()}


print(json.dumps({Path(folder).name: keywords(Path(folder)) for folder in sys.argv[1:]}))
