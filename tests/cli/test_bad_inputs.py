"""Every bad input ends in one sentence that says what, where and what to do, with exit code 2 and without a traceback."""

import os
import re
import shlex
import sys

import pytest
from bad_input_files import write_all
from bad_inputs import ACCEPTED, REFUSED

from autopeft.cli.encodings import print_anywhere
from autopeft.cli.main import main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder with all the files, where commands are run."""
    folder, before = tmp_path_factory.mktemp("inputs"), os.getcwd()
    write_all(folder)
    os.chdir(folder)
    yield folder
    os.chdir(before)


def run(line: str, monkeypatch, capsys) -> tuple[int, str, str]:
    """The exit code of a command line, and what it wrote."""
    monkeypatch.setattr(sys, "argv", ["autopeft", *shlex.split(line)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0), *capsys.readouterr()


@pytest.mark.parametrize("line", REFUSED)
def test_a_bad_input_is_one_sentence(line, place, monkeypatch, capsys):
    before = sorted(place.iterdir())
    code, out, error = run(line, monkeypatch, capsys)
    assert code == 2 and out == "", (code, out, error)
    assert re.fullmatch(r"autopeft: [^\n]{20,}[.?]\n", error), error
    assert re.search(REFUSED[line], error), error
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize("line", ACCEPTED)
def test_an_odd_input_has_a_result(line, place, monkeypatch, capsys):
    code, out, _ = run(line, monkeypatch, capsys)
    assert code == 0 and re.search(ACCEPTED[line], out), out


def test_the_table_is_long():
    assert len(REFUSED) >= 300


@pytest.mark.parametrize("written", ["± 3", "1 – 2", "Übel, naïve", "中文", "a × b …"])
def test_a_terminal_without_utf_8_gets_ascii(written, monkeypatch, tmp_path):
    with open(tmp_path / "out", "w", encoding="ascii") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        print_anywhere()
        print(written)
    expected = {"± 3": "+- 3", "1 – 2": "1 - 2", "Übel, naïve": "Ubel, naive", "中文": "??", "a × b …": "a x b ..."}
    assert (tmp_path / "out").read_text() == expected[written] + "\n"
