"""Number format, attention, processes and packing in words: what was chosen, and whether timing or a rule chose it."""

from autopeft.study.records import StudyResult


def chosen_note(result: StudyResult) -> str:
    """One sentence or two; empty for results that do not say on what they were trained."""
    precision = result.environment.get("precision")
    if not precision:
        return ""
    how = f"{precision['format']}, {precision['attention']} attention"
    workers = result.environment.get("workers")
    processes = "" if workers is None else f", {workers} process{'es' if workers > 1 else ''}"
    if result.spec.get("deterministic"):
        return (
            f"Pinned by --deterministic, nothing timed: {how}{processes} of one thread, no packing, no stored hidden "
            "states. The same seed gives the same curves with the same versions on the same kind of machine."
        )
    timed = "timed" if len(precision["seconds_per_step"]) > 1 else "given"
    if processes:
        processes += f" ({'timed' if result.environment.get('workers_seconds_per_step') else 'given'})"
    return (
        f"Trained in {how} ({timed}){processes}{packing(result)}. This is kept when the study is resumed; a new study "
        "with the same seed may find other timings and differ in its last digits, unless --deterministic pins them."
    )


def packing(result: StudyResult) -> str:
    """How many families of runs are packed."""
    found = result.environment.get("packing")
    if not found or not found["families"]:
        return ""
    return f", {found['packed']} of {found['families']} families of runs packed (timed)"
