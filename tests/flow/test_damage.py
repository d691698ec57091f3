"""Every file of a finished study, deleted, cut or flipped: one sentence, or one note and the same answer; never in silence."""

import logging
import random
import shutil

import pytest
from small_search import answer

import autopeft
from autopeft import AutopeftError, Result

SMALL = autopeft.StudySpec(
    trials=2, cohort=2, full_steps=4, train_rows=32, validation_rows=24, test_rows=24, max_length=12, seeds=1, finalists=1,
    ceiling=False, deterministic=True, workers=1, rates=1, budget="0.5%", importance="variance",
)  # fmt: skip
RECOMPUTED = ("outcomes.jsonl", "importance.json", "ledger.json", "packing.jsonl")
FILES = (*RECOMPUTED, "study.json", "trials.journal")
FLIPS = 40


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A finished study, with timings of packing, which a deterministic one has not."""
    folder = tmp_path_factory.mktemp("damage") / "study"
    result = autopeft.search(SMALL, folder)
    from autopeft.proxy.packing_file import PackingFile

    PackingFile(folder).add(result.front.points[0].configuration, 3, True, {"packed": 0.1})
    return folder


def damages(content: bytes, flips: int):
    """(name, what is left): deleted, emptied, cut, a line taken out, single bits flipped."""
    lines, generator = content.splitlines(keepends=True), random.Random(0)
    yield from (("deleted", None), ("emptied", b""), ("halved", content[: len(content) // 2]))
    if len(lines) > 1:
        yield "without its last line", b"".join(lines[:-1])
        yield "without a line in the middle", b"".join(lines[: len(lines) // 2] + lines[len(lines) // 2 + 1 :])
    for _ in range(flips):
        flipped, place = bytearray(content), generator.randrange(len(content))
        flipped[place] ^= 1 << generator.randrange(8)
        yield f"bit flipped in byte {place}", bytes(flipped)


def damaged(searched, folder, name, left):
    """A copy of the study with one file that is not as it was."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(searched, folder)
    if left is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(left)
    return folder


@pytest.mark.parametrize("name", FILES)
def test_what_is_read_of_a_damaged_study_is_right_or_said(searched, tmp_path, name, caplog):
    """A flipped digit in outcomes.jsonl was another score, half a journal a study of fewer trials."""
    whole = answer(Result.open(searched))
    for how, left in damages((searched / name).read_bytes(), FLIPS):
        caplog.clear()
        try:
            with caplog.at_level(logging.WARNING, "autopeft"):
                found = answer(Result.open(damaged(searched, tmp_path / "study", name, left)))
        except AutopeftError as error:
            assert name in str(error) or "no study" in str(error), how
            assert "\n" not in str(error), how
        else:
            assert found == whole or any(name in message for message in caplog.messages), how


@pytest.mark.parametrize("name", RECOMPUTED)
def test_the_same_search_makes_good_what_a_file_has_lost(searched, tmp_path, name):
    for left in (None, (searched / name).read_bytes()[:-20]):
        if (name, left is None) == ("importance.json", False):
            continue  # is refused: it is to be deleted first
        folder = damaged(searched, tmp_path / "study", name, left)
        assert answer(autopeft.search(SMALL, folder)) == answer(Result.open(searched))
        assert answer(Result.open(folder)) == answer(Result.open(searched))


@pytest.mark.parametrize("name", ["study.json", "trials.journal"])
def test_the_same_search_does_not_begin_anew_over_what_is_left(searched, tmp_path, name):
    folder = damaged(searched, tmp_path / "study", name, None)
    before = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".html"}
    with pytest.raises(AutopeftError, match=f"no {name}|{name} has lost its last"):
        autopeft.search(SMALL, folder)
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".html"} == before
