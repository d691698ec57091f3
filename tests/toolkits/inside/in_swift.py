"""ms-swift's own command line, loader and tuners on sft.yaml: WHAT FOLDER ... -> folder's name -> {name: shape} of what is trained.

WHAT: tuned, or run: two steps of its whole training after that; or train: all of it; or rows: the tokens and labels that it makes of them.
"""

import json
import os
import sys
from pathlib import Path

from swift.cli.main import parse_yaml_args
from swift.pipelines.train.sft import SwiftSft


def trained(what: str, folder: Path) -> dict | list:
    os.chdir(folder)
    argv = ["sft.yaml"]
    parse_yaml_args(argv)  # as `swift sft sft.yaml`
    short = ["--max_steps", "2", "--use_cpu", "true", "--save_strategy", "no"]
    session = SwiftSft(argv if what == "train" else [*argv, *short])
    if what == "rows":
        rows, _ = session._prepare_dataset()
        return [{name: list(rows[i][name]) for name in ("input_ids", "labels")} for i in range(len(rows))]
    if what in ("run", "train"):
        session.run()
        model = session.model
    else:
        model = session.prepare_model(session.args, session.model)
    return {name: list(p.shape) for name, p in model.named_parameters() if p.requires_grad}


print(json.dumps({Path(folder).name: trained(sys.argv[1], Path(folder)) for folder in sys.argv[2:]}))
