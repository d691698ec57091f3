"""A study's folder: what is written, when, and how it is read back. Every write is whole or not at all.

study.json        the spec, data, sizes, budget, environment: written once the backbone and the data are known
importance.json   LayerScores
trials.journal    Optuna's own journal (unless --storage names another place)
packing.jsonl     which families of runs timing found faster when packed (proxy/packing_file.py)
outcomes.jsonl    one line per finished full-length training: finalists and baselines, seed by seed
ledger.json       how many lines the journal and the outcomes have (study/ledger.py)
states/           where trials and jobs that have not ended stand, with checksums: gone when they have (unless --artefacts
                  names another place)
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.artefacts import Artefacts, delete, read
from autopeft.base.checked import as_written, checked, parsed
from autopeft.base.errors import AutopeftError
from autopeft.base.files import write_whole
from autopeft.base.packages import Note
from autopeft.base.seal import KEY, is_whole, sealed
from autopeft.configuration import Configuration
from autopeft.executor.stored import Stored
from autopeft.importance.scores import LayerScores
from autopeft.proxy.curve import Curve
from autopeft.study.ledger import Ledger
from autopeft.study.outcome_lines import read_runs, write_runs
from autopeft.study.records import Outcome
from autopeft.study.study_json import KEYS, StudyJson

FORMAT = 2  # what is written ends with a checksum of its own
UNSEALED = 1  # release 0.1's, which is read too
SINCE = {"conflicts": "first"}  # options that older studies lack, and what they did
OWN = ("states", "study.json", "importance.json", "trials.journal", "packing.jsonl", "outcomes.jsonl", "ledger.json")


class StudyFolder:
    """Reads and writes one study's files.

    Args:
        path: the folder.
        note: told of damage that costs no more than time; by default the log is.

    Attributes:
        artefacts: of what has not ended; in the folder, unless the study has them elsewhere.
    """

    def __init__(self, path: str | Path, note: Note | None = None) -> None:
        self.path = Path(path)
        self._note = note or logging.getLogger("autopeft").warning
        self.artefacts = Artefacts(str(self.path)).within("states")

    @property
    def journal(self) -> Path:
        """Optuna's journal file."""
        return self.path / "trials.journal"

    @property
    def exists(self) -> bool:
        """Whether a study has been written here."""
        return (self.path / "study.json").is_file()

    @property
    def begun(self) -> bool:
        """Whether there are trials or runs of a study here."""
        return self.journal.is_file() or self._outcomes.is_file()

    def create(self) -> None:
        """Make the folder. Raises AutopeftError."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AutopeftError(
                f"The study folder {self.path} cannot be made ({error.strerror}): choose another with --out."
            ) from None

    @property
    def empty(self) -> bool:
        """Whether nothing of a study lies here, whole or damaged."""
        return not any((self.path / name).exists() for name in OWN)

    def discard(self) -> None:
        """Remove what the start of a study writes: of one that failed before its first trial."""
        for name in ("study.json", "importance.json", self.journal.name, "ledger.json", "packing.jsonl"):
            (self.path / name).unlink(missing_ok=True)

    def read(self) -> dict[str, Any]:
        """study.json. Raises AutopeftError if the folder holds no study or one of another version."""
        path = self.path / "study.json"
        if not path.is_file():
            raise AutopeftError(
                f"{self.path} holds no study (no study.json): give the folder that 'autopeft search' printed."
            )
        text = path.read_bytes()
        try:
            data = parsed(text)
        except ValueError:
            data = None
        if isinstance(data, dict) and data.get("format") not in (FORMAT, UNSEALED) and is_whole(text, unsealed=True):
            raise AutopeftError(
                f"{path} was written by another version of autopeft (format {data.get('format')}, this one reads "
                f"{FORMAT}): start the study anew in another folder with --out."
            )
        old = isinstance(data, dict) and data.get("format") == UNSEALED and data.keys() >= KEYS
        if data is None or not is_whole(text, unsealed=old):
            raise AutopeftError(f"{path} is damaged: restore it, or start the study anew in another folder with --out.")
        found = {k: v for k, v in data.items() if k != KEY}
        with as_written(path, "restore it, or start the study anew in another folder with --out"):
            checked(StudyJson, found)
        return {**found, "spec": {**SINCE, **found["spec"]}} if "spec" in found else found

    def write(self, data: Mapping[str, Any]) -> None:
        """Write study.json; of the format that it has, or the newest."""
        write_whole(self.path / "study.json", sealed({"format": FORMAT, **data}, indent=1))

    @property
    def unsealed(self) -> bool:
        """Whether what a study of release 0.1 has written without checksums is taken as it is."""
        return self.exists and self.read()["format"] == UNSEALED

    @property
    def ledger(self) -> Ledger:
        """Of its lines."""
        return Ledger(self.path, self._note)

    def shapes(self) -> BackboneShapes:
        """The backbone's sizes."""
        with as_written(self.path / "study.json", "restore it"):
            return BackboneShapes.from_json(self.read()["shapes"])

    def write_scores(self, scores: LayerScores) -> None:
        """Keep the layer scores."""
        write_whole(self.path / "importance.json", sealed(scores.to_json(), indent=1))

    def scores(self) -> LayerScores | None:
        """The layer scores, None where none were measured. Raises AutopeftError where the file is damaged."""
        path = self.path / "importance.json"
        if not path.is_file():
            if self.begun and self.read()["spec"].get("importance", "none") != "none":
                self._note(f"{path} is missing: the same search scores the layers again.")
            return None
        text = path.read_bytes()
        try:
            if is_whole(text, unsealed=self.unsealed):
                return LayerScores.from_json({k: v for k, v in parsed(text).items() if k != KEY})
        except (ValueError, TypeError, KeyError, AttributeError):  # of release 0.1, whose scores have no checksum
            pass
        raise AutopeftError(f"{path} is damaged: delete it, and the same search scores the layers again.")

    def state(self, trial: int, step: int, rate: float, sha256: str | None = None) -> Stored | None:
        """What a trial that has reached a step resumes from, None where that is missing or damaged, which is said.

        Args:
            trial: its number.
            step: that it has reached.
            rate: its learning rate.
            sha256: of what it wrote, where that is known: a copy of the study may share its --artefacts.
        """
        path = self.state_path(trial, step, rate)
        found = Stored.found(path)
        if found and sha256 in (None, found.sha256):
            return found
        why = "of another study" if found else "missing" if read(path) is None else "damaged"
        self._note(f"{path} is {why}: trial {trial} is trained again from the beginning.")
        return None

    def state_path(self, trial: int, step: int, rate: float) -> str:
        """Where the state of a trial after a step lies: of one of its learning rates."""
        return self.artefacts.path(f"trial-{trial}-{step}-{rate:.12g}.state")

    def drop_states_but(self, trial: int, kept: Stored | None) -> None:
        """Remove the states of a trial but one: once what it measured until then is stored."""
        for name in self.artefacts.names():
            path = self.artefacts.path(name)
            if name.startswith(f"trial-{trial}-") and (kept is None or path != kept.path):
                delete(path)

    def drop_states(self) -> None:
        """Remove the states and their folder."""
        self.artefacts.remove()

    def check_links(self) -> None:
        """Refuse a study whose files are links: what is written or removed would be elsewhere. Raises AutopeftError."""
        for path in (self.path / name for name in OWN):
            if path.is_symlink():
                raise AutopeftError(f"{path} is a link: put what it leads to in its place, if you trust this study.")

    def add_run(
        self,
        name: str,
        role: str,
        configuration: Configuration,
        trainable: int,
        counted: Mapping[str, float],
        curve: Curve,
    ) -> None:
        """Add one full-length run to the file.

        Args:
            name: whose run it is.
            role: "finalist", "baseline", "ceiling" or "tuning".
            configuration: what was trained.
            trainable: its parameters, the head left out.
            counted: values known before training, by the objective's name.
            curve: what the run measured.
        """
        run = {
            "name": name,
            "role": role,
            "configuration": configuration.to_json(),
            "trainable": trainable,
            "counted": dict(counted),
            "curve": curve.to_json(),
        }
        self._write_runs([*self.runs(), run])

    def runs(self) -> list[dict[str, Any]]:
        """Every full-length run, in the order in which they ended. Raises AutopeftError where the file is damaged."""
        return read_runs(self._outcomes, self.ledger, self._note, self.unsealed)

    def mend_runs(self) -> None:
        """Drop what is damaged or lost at the end for good, before runs are added. Raises AutopeftError as `runs` does."""
        if self._outcomes.is_file() or self.ledger.entry(self._outcomes.name)[0]:
            self._write_runs(self.runs())

    def _write_runs(self, runs: list[dict[str, Any]]) -> None:
        self.ledger.write(self._outcomes.name, write_runs(self._outcomes, runs))

    @property
    def _outcomes(self) -> Path:
        return self.path / "outcomes.jsonl"

    def outcomes(self) -> tuple[Outcome, ...]:
        """The runs grouped by name, in the order in which they were first made."""
        return outcomes_of(run for run in self.runs() if run["role"] != "tuning")


def outcomes_of(runs: Iterable[dict[str, Any]]) -> tuple[Outcome, ...]:
    """Group full-length runs by name, in their order.

    Args:
        runs: of finalists, baselines and the ceiling.

    Returns:
        An outcome for each name. Of one that was trained at several learning rates, those of the rate with the most
        seeds, and of these the lowest mean validation loss.
    """
    groups: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for run in runs:
        key = Configuration.from_json(run["configuration"]).key
        groups.setdefault(run["name"], {}).setdefault(key, []).append(run)
    return tuple(outcome_of(name, min(rates.values(), key=preferred)) for name, rates in groups.items())


def preferred(runs: list[dict[str, Any]]) -> tuple[int, float]:
    """What the runs at one learning rate are sorted by, the rate that counts first."""
    return -len(runs), mean(Curve.from_json(r["curve"]).loss for r in runs)


def outcome_of(name: str, runs: list[dict[str, Any]]) -> Outcome:
    """The runs of one configuration as an outcome."""
    return Outcome(
        name,
        runs[0]["role"],
        Configuration.from_json(runs[0]["configuration"]),
        runs[0]["trainable"],
        tuple(Curve.from_json(r["curve"]) for r in runs),
        runs[0].get("counted") or {"parameters": runs[0]["trainable"]},  # release 0.1 counted nothing else
    )
