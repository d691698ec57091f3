"""Plug-ins: modules of other packages that add methods, procedures, objectives or kinds of task. Imports no torch.

A package outside this repository names its module under an entry point, one group per registry:

    [project.entry-points."autopeft.methods"]
    my_method = "my_package.my_method"
"""

from importlib.metadata import entry_points

from autopeft.base.errors import AutopeftError


def load_plugins(registry: str) -> None:
    """Import the modules that installed packages name for a registry; each registers what it defines.

    Args:
        registry: "methods", "procedures", "objectives" or "kinds".

    Raises:
        AutopeftError: a plug-in cannot be imported.
    """
    for entry in entry_points(group=f"autopeft.{registry}"):
        try:
            entry.load()
        except Exception as error:
            package = entry.dist.name if entry.dist else entry.value
            raise AutopeftError(
                f"The plug-in {entry.name} of {package} ({entry.value}) cannot be loaded: {type(error).__name__}: {error}. "
                f"Mend it, or uninstall {package}."
            ) from error
