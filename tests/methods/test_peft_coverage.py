"""Every type that peft has is used by a method, or named with a reason among those that docs/methods.md leaves out."""

import re
from pathlib import Path

from peft import PeftType
from sizes import bert_shapes

from autopeft.methods import REGISTRY

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def used() -> set[str]:
    """The peft types of all methods at their defaults."""
    shapes = bert_shapes()
    layers = tuple(range(shapes.num_layers))
    fields = [method.peft_fields(method.defaults, layers, shapes) for method in REGISTRY.values()]
    return {x["peft_type"] for x in fields} & {x.value for x in PeftType}


def left_out() -> dict[str, str]:
    """Type -> reason, from the page's table."""
    section = PAGE.read_text(encoding="utf-8").split("## Left out of peft\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`[A-Z_`, ]+`) \| (.+) \|$", section, re.MULTILINE)
    return {name: why for names, why in rows for name in re.findall(r"[A-Z_]+", names)}


def test_no_type_is_forgotten_and_none_is_both():
    named = left_out()
    assert used() | set(named) == {x.value for x in PeftType}
    assert not used() & set(named)
    assert all(len(why) > 20 for why in named.values())
