"""Plug-ins: modules of other packages that add methods, procedures, objectives or kinds of task. Imports no torch.

A package outside this repository names its module under an entry point, one group per registry:

    [project.entry-points."autopeft.methods"]
    my_method = "my_package.my_method"
"""

from importlib.metadata import EntryPoint, entry_points

from autopeft.base.errors import AutopeftError

BROKEN: list[AutopeftError] = []  # what `check_plugins` raises


def load_plugins(registry: str) -> None:
    """Import the modules that installed packages name for a registry; each registers what it defines.

    A registry is filled while autopeft is imported, and an import that fails leaves the command line no chance to say
    so in a sentence. So a failure is kept for `check_plugins`, which whatever reads a registry calls.

    Args:
        registry: "methods", "procedures", "objectives" or "kinds".
    """
    for entry in entry_points(group=f"autopeft.{registry}"):
        try:
            entry.load()
        except Exception as error:
            BROKEN.append(failure(entry, error))


def check_plugins() -> None:
    """Refuse to go further when a plug-in could not be loaded.

    Raises:
        AutopeftError: one cannot be imported.
    """
    if BROKEN:
        raise BROKEN[0]


def failure(entry: EntryPoint, error: Exception) -> AutopeftError:
    """What is wrong with a plug-in, and what to do."""
    package = entry.dist.name if entry.dist else entry.value
    why = f"{type(error).__name__}: {error}".rstrip(".")
    found = AutopeftError(
        f"The plug-in {entry.name} of {package} ({entry.value}) cannot be loaded: {why}. Mend it, or uninstall {package}."
    )
    found.__cause__ = error
    return found
