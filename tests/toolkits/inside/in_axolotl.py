"""Axolotl's own parser, loader and freezing on axolotl.yaml: FOLDER ... -> folder's name -> {name: shape} of what is trained."""

import json
import sys
from pathlib import Path

import yaml
from axolotl.loaders.adapter import load_lora
from axolotl.utils.config import validate_config
from axolotl.utils.dict import DictDefault
from axolotl.utils.freeze import freeze_layers_except
from axolotl.utils.schemas.config import AxolotlInputConfig
from axolotl.utils.schemas.datasets import SFTDataset, UserDefinedPrompterType
from transformers import AutoModelForCausalLM


def known(keys, schema) -> None:
    """Its parser drops keys that are not in its schema without a word."""
    assert set(keys) <= set(schema.model_fields), set(keys) - set(schema.model_fields)


def trained(folder: Path) -> dict:
    given = yaml.safe_load((folder / "axolotl.yaml").read_text())
    known(given, AxolotlInputConfig)
    known(given["datasets"][0], SFTDataset)
    known(given["datasets"][0]["type"], UserDefinedPrompterType)
    cfg = validate_config(DictDefault(given))
    model = AutoModelForCausalLM.from_pretrained(cfg.base_model)
    if cfg.adapter:
        model, _ = load_lora(model, cfg)
    if cfg.unfrozen_parameters:
        freeze_layers_except(model, cfg.unfrozen_parameters)
    return {name: list(p.shape) for name, p in model.named_parameters() if p.requires_grad}


print(json.dumps({Path(folder).name: trained(Path(folder)) for folder in sys.argv[1:]}))
