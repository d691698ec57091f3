"""A disk that is full from the n-th write of a short study on, for every n: one sentence, and the same command goes on."""

import builtins
import errno
import io
import os
import sys

import pytest
from small_search import SHORTEST, answer

from autopeft import Result
from autopeft.cli.main import main
from autopeft.proxy.trainer import Trainer

COMMAND = ["autopeft", *SHORTEST, "--trials", "2", "--space", "lora", "--workers", "1"]


class Disk:
    """Counts the writes below a folder, and refuses all that come after the first so many; half of what is refused is there."""

    def __init__(self, monkeypatch, folder):
        self.folder, self.writes, self.room = str(folder), 0, float("inf")
        self.descriptors = {}
        real = {name: getattr(os, name) for name in ("open", "write", "replace", "rename", "symlink", "mkdir", "link")}

        def creating(path, flags, *args, **kwargs):
            if flags & os.O_CREAT and self.mine(path):
                self.take(path)
            descriptor = real["open"](path, flags, *args, **kwargs)
            self.descriptors[descriptor] = path
            return descriptor

        def writing(descriptor, content):
            if self.mine(self.descriptors.get(descriptor)):
                self.take(self.descriptors[descriptor])
            return real["write"](descriptor, content)

        def naming(name):
            def act(source, target=None, *args, **kwargs):
                to = source if name == "mkdir" else target
                if self.mine(to):
                    self.take(to)
                return real[name](source, *([] if target is None else [target]), *args, **kwargs)

            return act

        monkeypatch.setattr(os, "open", creating)
        monkeypatch.setattr(os, "write", writing)
        for name in ("replace", "rename", "symlink", "mkdir", "link"):
            monkeypatch.setattr(os, name, naming(name))
        opening, disk = builtins.open, self

        def opened(file, mode="r", *args, **kwargs):
            found = opening(file, mode, *args, **kwargs)
            return Writing(found, file, disk) if set(mode) & set("wax+") and disk.mine(file) else found

        monkeypatch.setattr(builtins, "open", opened)
        monkeypatch.setattr(io, "open", opened)

    def mine(self, path) -> bool:
        return isinstance(path, (str, os.PathLike)) and os.path.abspath(path).startswith(self.folder)

    def take(self, path):
        self.writes += 1
        if self.writes > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


class Writing:
    """A file that is written."""

    def __init__(self, file, path, disk):
        self.file, self.path, self.disk = file, path, disk

    def write(self, content):
        try:
            self.disk.take(self.path)
        except OSError:
            self.file.write(content[: len(content) // 2])
            self.file.flush()
            raise
        return self.file.write(content)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


@pytest.fixture
def search(tmp_path, monkeypatch, capsys):
    """Runs the command in a folder, with so much room; gives the exit code and what it said. Nothing is trained twice."""
    disk = Disk(monkeypatch, tmp_path)
    known, train = {}, Trainer.run

    def trained(self, jobs, keep=None):
        found = [repr(job) for job in jobs]
        if str(found) not in known:
            known[str(found)] = train(self, jobs, keep)
        return known[str(found)]

    monkeypatch.setattr(Trainer, "run", trained)
    import autopeft.workbench as workbench

    for name in ("load_resident", "score_layers"):
        once(monkeypatch, workbench, name)

    def run(folder, room=float("inf")):
        disk.writes, disk.room = 0, room
        monkeypatch.setattr(sys, "argv", [*COMMAND, "--out", str(folder)])
        try:
            main()
            code = 0
        except SystemExit as stopped:
            code = stopped.code or 0
        finally:
            disk.room = float("inf")
        return code, capsys.readouterr().err, disk.writes

    return run


def once(monkeypatch, module, name):
    """Have a function of a module called once."""
    plain, given = getattr(module, name), []

    def kept(*args, **kwargs):
        if not given:
            given.append(plain(*args, **kwargs))
        return given[0]

    monkeypatch.setattr(module, name, kept)


def is_a_sentence(said: str) -> bool:
    """Whether the last line says what to do, and none is of a traceback."""
    last = (said.strip().splitlines() or [""])[-1]
    return last.startswith("autopeft: ") and "--out" in last and "Traceback" not in said


@pytest.mark.slow
def test_a_disk_that_is_full_from_any_write_on_loses_nothing(search, tmp_path):
    """Of every write; WRITES=FIRST:LAST:EVERY takes some of them."""
    code, said, writes = search(tmp_path / "whole")
    assert code == 0, said
    whole = answer(Result.open(tmp_path / "whole"))
    chosen = os.environ.get("WRITES")
    tried = range(writes)[slice(*map(int, chosen.split(":")))] if chosen else range(writes)
    wrong = []
    for room in tried:
        folder = tmp_path / f"at-{room}"
        code, said, _ = search(folder, room)
        if code and not (code == 2 and is_a_sentence(said)):
            wrong.append((room, code, said))
        code, said, _ = search(folder)
        if code or (found := answer(Result.open(folder))) != whole:
            wrong.append((room, "resumed", code, said, found))
        print(f"{room} of {writes}: {len(wrong)} came out otherwise", flush=True)
    assert not wrong, "\n\n".join(map(str, [*wrong, whole]))
