"""Nothing that the package reads can run code: no pickle is opened and no text is evaluated."""

import ast
from pathlib import Path

import pytest

import autopeft

FILES = sorted(Path(autopeft.__file__).parent.rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle", "code"}
BARE = {"eval", "exec", "compile", "__import__"}
OF_MODULES = {
    ("torch", "load"), ("np", "load"), ("numpy", "load"), ("pd", "read_pickle"), ("yaml", "load"), ("yaml", "unsafe_load"),
    ("yaml", "full_load"), ("os", "system"), ("os", "popen"), ("torch.jit", "load"),
}  # fmt: skip


def dangers(tree: ast.AST):
    """What a file imports or calls that could run what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in MODULES)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield node.module
        if isinstance(node, ast.Call):
            yield from called(node)


def called(node: ast.Call):
    if isinstance(node.func, ast.Name) and node.func.id in BARE:
        yield node.func.id
    if isinstance(node.func, ast.Attribute) and (ast.unparse(node.func.value), node.func.attr) in OF_MODULES:
        yield ast.unparse(node.func)
    for keyword in node.keywords:
        if keyword.arg == "trust_remote_code" and isinstance(keyword.value, ast.Constant) and keyword.value.value:
            yield keyword.arg
        if keyword.arg in ("shell", "allow_pickle") and getattr(keyword.value, "value", True):
            yield keyword.arg
        if keyword.arg == "weights_only" and not getattr(keyword.value, "value", True):
            yield keyword.arg


def test_no_file_of_the_package_opens_a_pickle_or_evaluates_a_text():
    found = {path: list(dangers(ast.parse(path.read_text(encoding="utf-8")))) for path in FILES}
    assert len(FILES) > 100 and {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "line",
    ["import pickle", "from joblib import load", "torch.load('x')", "eval('1')", "f(shell=True)", "yaml.load(x, L)",
     "np.load(x, allow_pickle=True)", "g(weights_only=False)", "g(trust_remote_code=True)"],
)  # fmt: skip
def test_the_test_sees_what_it_is_for(line):
    assert list(dangers(ast.parse(line)))
