"""Cleaned frames -> three disjoint splits, cut the same way every time."""

import warnings

import numpy as np
import pandas as pd

from autopeft.base.errors import AutopeftError
from autopeft.tasks.builtin import Frames

TEST_FRACTION = 0.20
VALIDATION_FRACTION = 0.15
LEAST_ROWS = 10  # of which two are cut for each
LEAST_SCORED = 2  # rows of a validation or test split


def cut(frames: Frames, name: str, seed: int) -> tuple[Frames, list[str]]:
    """Cut the splits that a source lacks out of its train split, and say in notes what was done.

    Test takes 20 % and validation 15 % of the rows they are cut from, stratified by the column "stratum" or by label,
    at random without both; rows of one group stay together. Raises AutopeftError when too little is left to train on.
    """
    train, notes = frames["train"], []
    splits = dict(frames)
    whole = len(train)
    if whole < LEAST_ROWS and len(splits) < 3:
        raise AutopeftError(
            f"{name} has {whole} rows to cut {' and '.join(p for p in ('validation', 'test') if p not in splits)} from: "
            f"give at least {LEAST_ROWS}, or splits of your own."
        )
    for part, fraction in (("test", TEST_FRACTION), ("validation", VALIDATION_FRACTION)):
        if part not in splits:
            held, train = _hold_out(train, fraction * whole / max(1, len(train)), name, seed)
            splits[part] = held
            notes.append(
                f"Cut {len(held):,} rows for {part} from {whole:,}, {_how(train)}"
                + (", no group in two splits." if "group" in train else ".")
            )
    splits["train"] = train
    _check_coverage(splits, name)
    return {part: splits[part] for part in ("train", "validation", "test")}, notes


def _hold_out(frame: pd.DataFrame, fraction: float, name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    if "group" in frame:
        held = _group_rows(frame, fraction, name, seed)
    else:
        held = stratified_order(_strata(frame), seed)[: max(1, round(fraction * len(frame)))]
    mask = np.zeros(len(frame), dtype=bool)
    mask[held] = True
    return frame[mask].reset_index(drop=True), frame[~mask].reset_index(drop=True)


def _strata(frame: pd.DataFrame) -> pd.Series:
    """The classes whose shares a cut keeps: the column "stratum" or the labels, or one for all where there are none."""
    found = frame.get("stratum", frame.get("label"))
    return found if found is not None else pd.Series(0, index=frame.index)


def _how(frame: pd.DataFrame) -> str:
    return "stratified by label" if _strata(frame).nunique() > 1 else "at random"


def _group_rows(frame: pd.DataFrame, fraction: float, name: str, seed: int) -> np.ndarray:
    """Row numbers of one fold of about `fraction` that shares no group with the rest."""
    from sklearn.model_selection import StratifiedGroupKFold

    groups = frame["group"].astype(str)
    if groups.nunique() < 3:
        raise AutopeftError(
            f"The group column of {name} has {groups.nunique()} values left to cut a split from. "
            "Choose one with more, or leave --group out."
        )
    strata = _strata(frame)
    most = min(groups.nunique(), int(strata.value_counts().max()))  # no class has a row for each of more folds
    if most < 2:
        raise AutopeftError(f"No class of {name} has two rows left to cut a split from. Give more rows.")
    folds = StratifiedGroupKFold(min(round(1 / fraction), most), shuffle=True, random_state=seed)
    with warnings.catch_warnings():  # a class rarer than the folds is no harm: one fold is used
        warnings.simplefilter("ignore", UserWarning)
        return next(folds.split(frame["text"], strata, groups))[1]


def stratified_order(labels: pd.Series, seed: int) -> np.ndarray:
    """Row numbers, shuffled, in an order whose every prefix has nearly the classes' own proportions.

    The k-th of a class's n rows comes at the position (k + 1/2) / n; a class of two rows stays out of a short prefix,
    so a cut never empties a class. A longer prefix holds the shorter one.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    ordered = labels.iloc[shuffled].reset_index(drop=True)
    groups = ordered.groupby(ordered)
    position = (groups.cumcount() + 0.5) / groups.transform("size")
    return shuffled[np.argsort(position.to_numpy(), kind="stable")]


def cap(frame: pd.DataFrame, rows: int | None, seed: int) -> pd.DataFrame:
    """A stratified subset of at most `rows` rows (random without labels), in the source's order; None keeps all."""
    if rows is None or rows >= len(frame):
        return frame
    return frame.iloc[np.sort(stratified_order(_strata(frame), seed)[:rows])].reset_index(drop=True)


def cap_notes(frames: Frames, capped: Frames) -> list[str]:
    """A sentence for each split that `cap` made smaller."""
    return [
        f"Used {len(capped[part]):,} of {len(frame):,} {part} rows, {_how(frame)}."
        for part, frame in frames.items()
        if len(capped[part]) < len(frame)
    ]


def _check_coverage(splits: Frames, name: str) -> None:
    for part, frame in splits.items():
        if frame.empty:
            raise AutopeftError(f"{name} leaves no rows for {part}. Give more rows.")
        if len(frame) < LEAST_SCORED and part != "train":
            raise AutopeftError(
                f"The {part} split of {name} has one row, which tells no two configurations apart: give at least "
                f"{LEAST_SCORED}, better a hundred."
            )
    if "stratum" in splits["train"] or "label" not in splits["train"]:  # the labels are no classes
        return
    known = set(splits["train"]["label"])
    for part in ("validation", "test"):
        unknown = sorted(set(splits[part]["label"]) - known)
        if unknown:
            raise AutopeftError(
                f"The {part} split of {name} has the class '{unknown[0]}' that its train split lacks. "
                "Give more examples of it, or remove it."
            )
    if len(known) < 2:
        raise AutopeftError(f"The train split of {name} has one class only. Give more rows.")
