"""Registration works in a process whose only lines are `import autopeft` and imports of peft, in either order."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny import tiny_batch, tiny_model
from tuner_checks import attach, fields_and_count, logits, two_steps

TESTS = str(Path(__file__).parents[1])
LOAD = """
import sys
import torch
torch.set_num_threads(1)
{imports}
sys.path.append(sys.argv[3])
from tiny import tiny_batch, tiny_model
batch = tiny_batch()
batch.pop("labels")
with torch.no_grad():
    torch.save(PeftModel.from_pretrained(tiny_model("bert"), sys.argv[1]).eval()(**batch).logits, sys.argv[2])
"""
ORDERS = [
    "import autopeft\nfrom peft import PeftModel",
    "from peft import PeftModel\nimport autopeft",
    "import autopeft\nimport transformers\nfrom peft import PeftModel",
]


def python(code: str, *arguments: str) -> str:
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("imports", ORDERS)
def test_a_saved_adapter_loads_in_a_new_process(imports, tmp_path):
    import torch

    model = attach(fields_and_count("dcft", "bert")[0], tiny_model("bert"))
    two_steps(model, tiny_batch())
    model.save_pretrained(tmp_path)
    python(LOAD.format(imports=imports), str(tmp_path), str(tmp_path / "logits.pt"), TESTS)
    assert torch.allclose(torch.load(tmp_path / "logits.pt"), logits(model, tiny_batch()), atol=1e-6)


def test_importing_autopeft_alone_loads_neither_torch_nor_peft():
    out = python("import sys, autopeft; print([m for m in ('torch', 'peft', 'transformers') if m in sys.modules])")
    assert out.strip() == "[]"


def test_arming_twice_puts_one_finder_and_registration_takes_it_away():
    out = python(
        "import sys\n"
        "from autopeft.methods.mechanisms.peft_import import PeftImport, install\n"
        "install(); install()\n"
        "armed = lambda: sum(isinstance(f, PeftImport) for f in sys.meta_path)\n"
        "before = armed()\n"
        "import peft.mapping\n"
        "print(before, armed(), 'DCFT' in peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING)"
    )
    assert out.strip() == "1 0 True"
