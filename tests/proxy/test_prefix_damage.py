"""Stored hidden states that are missing, short, changed or another's are computed anew; no study harms another."""

import multiprocessing
import os
import signal
import zlib
from pathlib import Path

import pytest
import torch
from prefix_cases import runs, tiny_task
from tiny import tiny_backbone

from autopeft.backbone import prefix
from autopeft.backbone.prefix import PrefixCache
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer

DEEP = Configuration.of("lora", get_method("lora").defaults, (2,), 1e-2)
JOB = Job(DEEP, 0, 4, 4, (2,), test=True, keep_state=True)


def state_files(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if p.stat().st_size > 1000]


def missing(path: Path) -> None:
    path.unlink()


def short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 64
    path.write_bytes(bytes(content))


def header_flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[1] ^= 64
    path.write_bytes(bytes(content))


def of_another_layout(path: Path) -> None:
    """The content of a piece that says that it lies at the next boundary; its checksum is right."""
    content = path.read_bytes()[:-4]
    content = content.replace(b'"boundary": 1', b'"boundary": 2').replace(b'"boundary": 3', b'"boundary": 2')
    path.write_bytes(content + zlib.crc32(content).to_bytes(4, "little"))


def read_again(folder: Path, notes=None):
    """(state, cache) of the job in a later study; what it reads from the folder is said in notes."""
    backbone, task = tiny_backbone("bert"), tiny_task()
    cache = PrefixCache(backbone, task, 10**8, folder, (notes if notes is not None else []).append)
    return Trainer(backbone, task, 8, prefix=cache).run([JOB])[0].state, cache


@pytest.mark.parametrize("damage", [missing, short, empty, flipped, header_flipped])
def test_what_is_damaged_is_computed_anew_and_said_in_one_line(damage, tmp_path):
    (plain, *_), _ = runs(tiny_backbone("bert"), tiny_task(), DEEP, tmp_path)
    for path in state_files(tmp_path):
        damage(path)
    notes: list[str] = []
    state, cache = read_again(tmp_path, notes)
    assert state == plain.state
    assert len(notes) == (0 if damage is missing else 1) and all("computed anew" in note for note in notes)
    assert read_again(tmp_path, notes)[1].computed_rows == 0  # what was damaged is stored again, whole
    assert len(notes) <= 1


def test_a_piece_of_another_layout_is_not_read(tmp_path):
    runs(tiny_backbone("bert"), tiny_task(), DEEP, tmp_path)
    for path in state_files(tmp_path):
        of_another_layout(path)
    notes: list[str] = []
    read_again(tmp_path, notes)
    assert len(notes) == 1 and "of another layout" in notes[0]


def test_a_study_reads_what_one_with_another_limit_stored(tmp_path):
    backbone, task = tiny_backbone("bert"), tiny_task()
    (plain, *_), every = runs(backbone, task, DEEP, tmp_path)
    one = PrefixCache(backbone, task, every.bytes // 3, tmp_path)
    assert one.boundaries == (3,)
    done = Trainer(backbone, task, 8, prefix=one).run([JOB])[0]
    assert done.state == plain.state and one.read_rows > one.computed_rows == 0  # at boundary 2, not its own


def test_a_study_with_another_limit_takes_no_boundary_for_another(tmp_path):
    backbone, task = tiny_backbone("bert"), tiny_task()
    first = PrefixCache(backbone, task, 10**8, tmp_path)
    two = PrefixCache(backbone, task, 2 * first.bytes // 3, tmp_path)
    assert two.boundaries == (2, 3)
    rows = torch.arange(72).numpy()
    with first.below(1):
        first.fill(1, rows, torch.randn(72, 12, first.width))
    with two.below(2):
        assert not two.has(2, rows) and not two.has(3, rows)


def in_a_process(body) -> int:
    """The exit code."""
    torch.set_num_threads(1)
    process = multiprocessing.get_context("fork").Process(target=body)
    process.start()
    process.join(100)
    return process.exitcode


def test_two_processes_at_once_with_different_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(prefix, "PENDING", 4000)  # a piece a batch: they write all the time
    backbone, task = tiny_backbone("bert"), tiny_task()
    torch.set_num_threads(1)
    jobs = [Job(DEEP, seed, 8, 8, (2,), test=True, keep_state=True) for seed in range(3)]
    plain = [done.state for job in jobs for done in Trainer(backbone, task, 8).run([job])]
    whole = PrefixCache(backbone, task, 10**8, tmp_path).bytes

    def body(limit: int) -> None:
        trainer = Trainer(backbone, task, 8, prefix=PrefixCache(backbone, task, limit, tmp_path))
        for _ in range(3):
            found = [trainer.run([job])[0].state for job in jobs]
            close = [same_within_rounding(a, b) for a, b in zip(found, plain)]
            assert all(close)

    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=body, args=(limit,)) for limit in (whole, whole // 3, 2 * whole // 3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(100)
    assert [p.exitcode for p in processes] == [0, 0, 0]
    notes: list[str] = []
    PrefixCache(backbone, task, 10**8, tmp_path, notes.append)
    assert not notes and stored_bytes(tmp_path) <= whole


def same_within_rounding(one: bytes, other: bytes) -> bool:
    """A row that another batch composition stored may differ in its last bits."""
    import safetensors.torch

    a, b = safetensors.torch.load(one), safetensors.torch.load(other)
    return all(torch.allclose(a[k].double(), b[k].double(), atol=1e-4) for k in a if k.startswith("value"))


def stored_bytes(folder: Path) -> int:
    return sum(int(p.stem.split("-")[2]) for p in folder.glob("*.piece"))


def test_a_row_is_stored_once_and_the_limit_holds(tmp_path):
    """Two processes that pass the same rows side by side: the second finds them when it comes to write."""
    backbone, task = tiny_backbone("bert"), tiny_task()
    caches = [PrefixCache(backbone, task, 10**8, tmp_path) for _ in range(2)]
    with caches[0].below(2) as first, caches[1].below(2) as second:
        assert first and second
        hidden = torch.randn(8, 12, caches[0].width)
        for cache in caches:
            cache.fill(2, torch.arange(8).numpy(), hidden)
    assert len(list(tmp_path.glob("*.piece"))) == 1
    small = PrefixCache(backbone, task, caches[0].bytes // 3, tmp_path)
    for cache in (caches[0], small):
        for boundary in cache.boundaries:
            cache.fill(boundary, torch.arange(72).numpy(), torch.randn(72, 12, cache.width))
        cache.flush()
        assert stored_bytes(tmp_path) <= caches[0].bytes
    assert small.full or not small.stored[3].pending


def test_killed_while_writing(tmp_path, monkeypatch):
    """Nothing of a piece that was not finished is read, and the next one that writes removes it."""

    def body() -> None:
        monkeypatch.setattr("autopeft.backbone.prefix_pieces.os.replace", lambda *_: os.kill(os.getpid(), 9))
        read_again(tmp_path)

    assert in_a_process(body) == -signal.SIGKILL
    assert len(list(tmp_path.glob("*.part"))) == 1 and not list(tmp_path.glob("*.piece"))
    monkeypatch.undo()
    (plain, filling, reading), cache = runs(tiny_backbone("bert"), tiny_task(), DEEP, tmp_path)
    assert plain.state == filling.state == reading.state and cache.read_rows > 0
    assert not list(tmp_path.glob("*.part"))


def test_a_stopped_writer_holds_up_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr("autopeft.backbone.prefix_folder.PATIENCE", 0.0)
    backbone, task = tiny_backbone("bert"), tiny_task()
    cache = PrefixCache(backbone, task, 10**8, tmp_path)
    other = PrefixCache(backbone, task, 10**8, tmp_path)
    plain = Trainer(backbone, task, 8).run([JOB])[0]
    with other.files.writing() as alone:
        assert alone
        assert Trainer(backbone, task, 8, prefix=cache).run([JOB])[0].state == plain.state
    assert not list(tmp_path.glob("*.piece"))
