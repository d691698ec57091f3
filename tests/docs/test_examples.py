"""The examples in the docstrings of the public names run and print what they say."""

import doctest
import inspect

import pytest

import autopeft

WITHOUT = {  # names that have no example yet
    "AutopeftError",
    "Front",
    "FrontPoint",
    "Progress",
    "Result",
}
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples(name: str) -> list[doctest.DocTest]:
    """The examples of a public function, or of a public class and what it defines itself."""
    found = doctest.DocTestFinder(exclude_empty=True, recurse=True).find(getattr(autopeft, name), name, globs={})
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", sorted(autopeft.__all__))
def test_every_public_name_has_an_example(name):
    assert inspect.getdoc(getattr(autopeft, name)), f"{name} has no docstring"
    if name in WITHOUT:
        assert not examples(name), f"{name} has an example now: take it off the list"
        pytest.skip("no example yet")
    assert examples(name), f"{name} has no example"


@pytest.mark.parametrize("name", sorted(set(autopeft.__all__) - WITHOUT))
def test_the_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for test in examples(name):
        runner = doctest.DocTestRunner(optionflags=OPTIONS)
        said: list[str] = []
        runner.run(test, out=said.append)
        assert not runner.summarize(verbose=False).failed, "".join(said)
