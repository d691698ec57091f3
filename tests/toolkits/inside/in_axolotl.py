"""Axolotl's own parser, loader and freezing on axolotl.yaml: FOLDER ... -> folder's name -> {name: shape} of what is trained.

rows FOLDER: the tokens and labels that it makes of the rows. train FOLDER: all of `axolotl train`; what it saved.
"""

import json
import os
import subprocess
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


def rows(folder: Path) -> list[dict]:
    from axolotl.cli.config import load_cfg
    from axolotl.common.datasets import load_datasets

    os.chdir(folder)
    made = load_datasets(cfg=load_cfg("axolotl.yaml")).train_dataset
    return [{name: list(row[name]) for name in ("input_ids", "labels")} for row in made]


def train(folder: Path) -> list[str]:
    command = [Path(sys.executable).parent / "axolotl", "train", "axolotl.yaml"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it starts accelerate
    done = subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return sorted(os.listdir(folder / "adapter"))


if __name__ == "__main__":  # its processes import this file again
    what = sys.argv[1]
    whole = {"rows": rows, "train": train}
    found = whole[what](Path(sys.argv[2])) if what in whole else {Path(x).name: trained(Path(x)) for x in sys.argv[1:]}
    print(json.dumps(found))
