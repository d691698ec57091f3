"""Prints what each toolkit can express of each kind of configuration: python tests/toolkits/verdicts.py [TOOLKIT ...]

lossless, lossy or unsupported is what `autopeft export` says. Then what the toolkit's own code trained on a tiny model:
= the parameters that autopeft trains, by name and shape, ≠ others, ? was not asked (no environment, a GPU is needed, or
TRL's script instead of its YAML). That swift is lossy on a classifier is the head's learning rate, of which it has none.
"""

import sys
import tempfile
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

import environments  # noqa: E402  (the line above lets it be found)
from export_cases import save_toy  # noqa: E402
from kinds import KINDS, asked, number, shapes_of, trained_by_autopeft, written  # noqa: E402

from autopeft.methods import refusal  # noqa: E402

STUDIES = {  # title -> (model, a language model?, toolkits)
    "A classifier on a BERT": ("bert", False, ["peft", "swift", "adapters"]),
    "A language model on a Llama": ("llama", True, ["peft", "trl", "llamafactory", "axolotl", "unsloth", "swift"]),
}


def trained(toolkit: str, model: str, folders: dict[str, Path]) -> dict[str, dict]:
    """kind -> {name: shape} of what the toolkit's own code trains, where it was asked."""
    if toolkit == "peft":
        return {kind: by_peft(model, folder) for kind, folder in folders.items()}
    if toolkit == "unsloth" or not environments.python(toolkit):
        return {}
    if toolkit in ("trl", "llamafactory"):
        what, file = {"trl": ("parse", "sft.yaml"), "llamafactory": ("adapter", "train.yaml")}[toolkit]
        found = {kind: folder for kind, folder in folders.items() if (folder / file).exists()}
        return {kind: environments.run(toolkit, what, folder) for kind, folder in found.items()}
    first = {"swift": ["tuned"], "adapters": [model]}.get(toolkit, [])
    said = environments.run(toolkit, *first, *folders.values())
    return {kind: said[number(kind)] for kind in folders}


def by_peft(model: str, folder: Path) -> dict:
    from peft import PeftConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    import autopeft.methods.tuners  # noqa: F401

    config = PeftConfig.from_pretrained(str(folder))
    kind = AutoModelForSequenceClassification if config.task_type == "SEQ_CLS" else AutoModelForCausalLM
    built = get_peft_model(kind.from_pretrained(model), config)
    return {name: list(p.shape) for name, p in built.named_parameters() if p.requires_grad}


def column(toolkit: str, family: str, causal: bool, folder: Path) -> dict[str, str]:
    """kind -> verdict and sign."""
    toy = save_toy(folder, family, causal=causal)
    cases = {kind: asked(kind, family, toy, causal) for kind in KINDS if fits(kind, family)}
    done = written(toolkit, cases, folder)
    folders = {kind: Path(one.folder) for kind, one in done.items() if one.verdict != "unsupported"}
    found = trained(toolkit, toy["model"], folders)
    signs = {kind: sign(toolkit, cases[kind], found.get(kind)) for kind in folders}
    return {kind: f"{one.verdict} {signs.get(kind, '')}".strip() for kind, one in done.items()}


def sign(toolkit: str, one, found: dict | None) -> str:
    if found is None:
        return "?"
    if toolkit == "adapters":
        from test_adapters import theirs

        expected = {theirs(name, one): shape for name, shape in trained_by_autopeft(one).items()}
        return "=" if {n: tuple(s) for n, s in found["trained"].items()} == expected else "≠"
    return "=" if shapes_of(found) == trained_by_autopeft(one) else "≠"


def fits(kind: str, family: str) -> bool:
    from export_cases import tiny_shapes

    return not refusal(KINDS[kind][0], tiny_shapes(family))


def main(names: list[str]) -> None:
    for title, (family, causal, toolkits) in STUDIES.items():
        chosen = [name for name in toolkits if not names or name in names]
        columns = {}
        for toolkit in chosen:
            with tempfile.TemporaryDirectory() as folder:
                columns[toolkit] = column(toolkit, family, causal, Path(folder))
        if not columns:
            continue
        print(f"\n{title}\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
        for kind in KINDS:
            if fits(kind, family):
                print(f"| {kind} | {' | '.join(cells[kind] for cells in columns.values())} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
