"""What racing saved, in words."""

from autopeft.study.records import StudyResult


def racing_note(result: StudyResult) -> str:
    """One sentence; empty while the race is on, and where it saved nothing."""
    race = result.environment.get("racing")
    if not race or not race["saved"]:
        return ""
    return (
        f"Racing saved {race['saved']} of {race['of']} full-length runs: only what could still be an answer was trained "
        "with further seeds."
    )
