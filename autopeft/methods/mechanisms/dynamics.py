"""Dynamics: what a method or a procedure does around the steps of one run. Imports no torch."""

from collections.abc import Mapping


class Dynamics:
    """One per run and method or procedure that has something to do between steps; a run that has any trains alone.

    session: the attached model (`session.model`) and its run (`session.run`: parameters, optimiser, step, job), the
    loss of a batch (`session.losses(rows)`, (1,)) and the trainer. Built after the run's state was taken up. Nothing
    here may draw from torch's global random state or read a clock: a resumed run must repeat an uninterrupted one,
    so what is drawn comes from a generator seeded by the job's seed and the step, and what is remembered is in state().
    """

    def __init__(self, session, settings: Mapping):
        self.session, self.settings = session, settings

    def before_forward(self, step: int) -> None:
        """step: number of steps done."""

    def before_update(self, step: int) -> None:
        """The gradients are there, not yet clipped."""

    def after_update(self, step: int) -> None:
        """The optimiser has stepped and the gradients are still there."""

    def state(self) -> dict:
        """Name -> tensor: what a resumed run needs beside parameters, optimiser and step."""
        return {}

    def load(self, tensors: dict) -> None:
        """Take up what state() gave."""
