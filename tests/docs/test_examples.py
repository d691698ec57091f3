"""The examples in the docstrings of the public names run and print what they say."""

import doctest
import inspect

import pytest

import autopeft

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples(name: str) -> list[doctest.DocTest]:
    """The examples of a public function, or of a public class and what it defines itself."""
    found = doctest.DocTestFinder(exclude_empty=True, recurse=True).find(getattr(autopeft, name), name, globs={})
    return [test for test in found if test.examples]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where all examples run; that of search makes the study that the others read."""
    made = tmp_path_factory.mktemp("examples")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        run("search")
    return made


def run(name: str) -> None:
    """Run the examples of a public name."""
    for test in examples(name):
        runner = doctest.DocTestRunner(optionflags=OPTIONS)
        said: list[str] = []
        runner.run(test, out=said.append)
        assert not runner.summarize(verbose=False).failed, "".join(said)


@pytest.mark.parametrize("name", sorted(set(autopeft.__all__) - {"search"}))
def test_the_examples_run(name, folder, monkeypatch):
    assert inspect.getdoc(getattr(autopeft, name)) and examples(name), f"{name} has no example"
    monkeypatch.chdir(folder)
    run(name)
