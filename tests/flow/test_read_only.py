"""A study that cannot be written is read, exported and trained from; a start that failed does not block the next."""

import json
import shutil
import subprocess

import pytest
from bad_input_files import write_all
from small_search import autopeft

pytestmark = pytest.mark.slow
SEARCH = (
    "search --model model --data ok.csv --space lora --budget 20% --trials 2 --full-steps 8 --seeds 1 --finalists 1 "
)
SEARCH += "--cohort 2 --batch-size 8 --precision fp32 --workers 1 --rates 1 --no-ceiling --max-length 32 --out"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("place")
    write_all(folder)
    done = autopeft(*SEARCH.split(), "study", cwd=folder)
    assert "Data: Read column 'text' as text, column 'label' as label; classes of the training rows: " in done.stderr
    return folder


@pytest.fixture
def read_only(place, tmp_path):
    """The study on a file system that is mounted to be read only, where this process may mount one."""
    mount = tmp_path / "shared"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(mount)], capture_output=True).returncode:
        pytest.skip("mounting needs privileges")
    shutil.copytree(place / "study", mount / "study")
    subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
    yield mount / "study"
    subprocess.run(["umount", str(mount)], check=True)


def test_a_read_only_study_is_reported_exported_and_trained_from(place, read_only, tmp_path):
    done = autopeft("report", read_only, cwd=place)
    assert "against parameters" in done.stdout and "cannot be written: --out FOLDER" in done.stderr
    autopeft("report", read_only, "--out", tmp_path / "report", cwd=place)
    assert {p.name for p in (tmp_path / "report").iterdir()} == {"report.html", "front.csv", "front.json", "trials.csv"}
    assert "choose another with --out" in autopeft("export", read_only, cwd=place, check=2).stderr
    autopeft("export", read_only, "--out", tmp_path / "export", cwd=place)
    assert (tmp_path / "export" / "adapter_config.json").is_file()
    assert "with --out" in autopeft("train", read_only, "--steps", "2", cwd=place, check=2).stderr
    autopeft("train", read_only, "--steps", "2", "--out", tmp_path / "adapter", cwd=place)
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


def test_a_start_that_fails_late_leaves_nothing_that_blocks_the_next(place):
    shutil.copytree(place / "study", place / "torn")
    journal = place / "torn" / "trials.journal"
    journal.write_bytes(journal.read_bytes()[: journal.stat().st_size // 2])
    done = autopeft(*SEARCH.split(), "second", "--transfer", "torn", cwd=place, check=2)
    assert "trials.journal" in done.stderr and not (place / "second").exists()
    autopeft(*SEARCH.split(), "second", cwd=place)
    assert json.loads((place / "second" / "study.json").read_text())["spec"]["transfer"] is None
    plan = autopeft(*SEARCH.split(), "second", "--batch-size", "4", "--dry-run", cwd=place, check=2)
    assert "was made with batch_size=8 and this command asks for batch_size=4" in plan.stderr
