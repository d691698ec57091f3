"""docs/tutorial.md as a program: its blocks, how they are run, and `python tests/docs/tutorial_page.py`, which writes
what they print into the page.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(python|sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of the page: code, or (language "text") what the code before it prints."""

    before: str  # the prose between the last block and this one
    language: str
    text: str


def blocks() -> list[Block]:
    """The page's blocks in order; the prose after the last one is left out."""
    page, found, end = PAGE.read_text(encoding="utf-8"), [], 0
    for match in BLOCK.finditer(page):
        found.append(Block(page[end : match.start()], match[1], match[2]))
        end = match.end()
    return found


def environment(folder: Path) -> dict[str, str]:
    """This interpreter's autopeft as the command of that name, whether or not it is installed."""
    folder.mkdir()
    command = folder / "autopeft"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m autopeft "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def run(block: Block, folder: Path, env: dict[str, str]) -> str:
    """What a block prints, run in that folder."""
    command = [sys.executable, "-c", block.text] if block.language == "python" else ["bash", "-ec", block.text]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{block.text}\n{done.stderr}"
    return done.stdout


def lines(text: str) -> list[str]:
    """Without the blanks that fill up a table."""
    return [line.rstrip() for line in text.strip().splitlines()]


def write_outputs() -> None:
    """Run the page and put what was printed into it."""
    page, printed, parts = PAGE.read_text(encoding="utf-8"), "", []
    with tempfile.TemporaryDirectory() as made:
        env, folder = environment(Path(made) / "bin"), Path(made) / "empty"
        folder.mkdir()
        for block in blocks():
            printed = printed if block.language == "text" else run(block, folder, env)
            shown = "\n".join(lines(printed)) + "\n" if block.language == "text" else block.text
            parts.append(f"{block.before}```{block.language}\n{shown}```")
    last = list(BLOCK.finditer(page))[-1].end()
    PAGE.write_text("".join(parts) + page[last:], encoding="utf-8")


if __name__ == "__main__":
    write_outputs()
