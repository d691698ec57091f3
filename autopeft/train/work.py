"""The folder of a training that runs: checkpoints, the best adapter so far, the curve. It is removed at the end.

checkpoint-N/   run.safetensors (parameters, optimiser, random state ...) and checkpoint.json; only the newest stays
adapter-N/      the adapter after step N: the best so far, and at the end the one that is kept
curve.csv       one line per evaluation
Whatever is there under its name is whole.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

from autopeft.base.checked import checked, parsed
from autopeft.base.errors import AutopeftError
from autopeft.base.files import whole_folder, write_whole
from autopeft.train.record import Record

if TYPE_CHECKING:
    from autopeft.train.processes import Processes
    from autopeft.train.training import FullTraining


class About(TypedDict):
    """What checkpoint.json holds."""

    identity: dict[str, Any]
    step: int
    losses: list[float]
    record: dict[str, Any]


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stood.

    Attributes:
        step: Training steps so far.
        state: Parameters, optimiser and random state, as `Run.state` gives them.
        losses: Of the steps since the last evaluation.
        record: What was measured.
    """

    step: int
    state: bytes
    losses: list[float]
    record: Record


class WorkFolder:
    """Reads and writes one unfinished training.

    Args:
        path: The folder, beside that of the adapter.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, training: "FullTraining", processes: "Processes") -> Checkpoint | None:
        """Read the newest checkpoint; without one make the folder anew.

        Args:
            training: What is trained.
            processes: The first of them makes the folder.

        Returns:
            None to train from the start.

        Raises:
            AutopeftError: The checkpoint is damaged or another training's, or the folder cannot be made.
        """
        found = [] if training.overwrite else self._numbered("checkpoint")
        checkpoint = self._read(found[-1], training) if found else None
        if processes.first:
            if checkpoint is None:
                shutil.rmtree(self.path, ignore_errors=True)
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise AutopeftError(
                    f"{self.path} cannot be made ({error.strerror}): choose another folder with --out."
                ) from None
        return checkpoint

    def _read(self, folder: Path, training: "FullTraining") -> Checkpoint:
        try:
            data = checked(About, parsed((folder / "checkpoint.json").read_bytes()))
            identity, record = data["identity"], Record.from_json(data["record"])
            state = (folder / "run.safetensors").read_bytes()
        except (OSError, ValueError):
            raise AutopeftError(f"The checkpoint {folder} is damaged: begin anew with --overwrite.") from None
        for key, value in training.identity().items():
            if identity.get(key) != value:
                had = identity.get(key)
                raise AutopeftError(
                    f"The unfinished training in {self.path} has {key} {had!r} and this command asks for {value!r}: "
                    "give the same options to resume it, another --out, or --overwrite to begin anew."
                )
        return Checkpoint(data["step"], state, data["losses"], record)

    def write(self, checkpoint: Checkpoint, training: "FullTraining") -> None:
        """Keep a checkpoint and remove the older ones."""
        data = {
            "identity": training.identity(),
            "step": checkpoint.step,
            "losses": checkpoint.losses,
            "record": checkpoint.record.to_json(),
        }
        with whole_folder(self.path / f"checkpoint-{checkpoint.step}") as folder:
            (folder / "run.safetensors").write_bytes(checkpoint.state)
            (folder / "checkpoint.json").write_text(json.dumps(data, indent=1), encoding="utf-8")
        for old in self._numbered("checkpoint")[:-1]:
            shutil.rmtree(old)

    def keep(self, step: int, save: Callable[[Path], None]) -> None:
        """Save the adapter of a step: `save` is given the folder to write."""
        save(self.path / f"adapter-{step}")

    def tidy(self, needed: int | None) -> None:
        """Remove every adapter but that of one step."""
        for folder in self._numbered("adapter"):
            if number(folder) != needed:
                shutil.rmtree(folder)

    def curve(self, record: Record) -> None:
        """Write the evaluations so far."""
        write_whole(self.path / "curve.csv", record.csv())

    def kept(self, record: Record) -> Path:
        """The folder of the adapter to keep."""
        return self.path / f"adapter-{record.kept.step}"

    def copy_kept(self, record: Record, to: Path) -> None:
        """Copy the adapter to keep into a folder."""
        shutil.copytree(self.kept(record), to, dirs_exist_ok=True)

    def remove(self) -> None:
        """Remove the whole folder."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _numbered(self, kind: str) -> list[Path]:
        return sorted(self.path.glob(f"{kind}-*"), key=number)


def number(folder: Path) -> int:
    """The step in a folder's name."""
    return int(folder.name.split("-")[1])
