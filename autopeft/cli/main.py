"""The command line: `main` runs a command, and every expected failure is one sentence."""

import errno
import importlib
import os
import pkgutil
import sys

import click

import autopeft.cli
from autopeft.base.errors import AutopeftError
from autopeft.base.plugins import check_plugins
from autopeft.cli.encodings import print_anywhere

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
NO_ROOM = (
    "Free some space or choose another folder with --out, then run the same command again: what was finished is kept."
)
REFUSALS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES), NO_ROOM),
    errno.ENAMETOOLONG: "Give the name or path of something that exists.",
}


def main() -> None:
    """Run a command; every expected failure is one sentence on stderr and a non-zero exit."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    print_anywhere()
    try:
        sys.exit(commands.main(standalone_mode=False))
    except AutopeftError as error:
        stop(str(error))
    except click.UsageError as error:
        stop(error.format_message() + (f" Try '{error.ctx.command_path} --help'." if error.ctx else ""))
    except (click.Abort, KeyboardInterrupt):  # SIGTERM ends with an exit code of its own
        stop("Stopped.", EXIT_INTERRUPTED)


def stop(sentence: str, code: int = EXIT_BAD_INPUT) -> None:
    """Say why on stderr and exit."""
    click.echo(f"autopeft: {sentence}", err=True)
    sys.exit(code)


class Commands(click.Group):
    """A group of commands; each file of this folder adds its own when the group is first read."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what the file system refuses is a sentence."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if error.errno not in REFUSALS:
                raise
            raise AutopeftError(f"{error.strerror}: {error.filename or 'a file'}. {REFUSALS[error.errno]}") from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        for module in pkgutil.iter_modules(autopeft.cli.__path__):
            importlib.import_module(f"autopeft.cli.{module.name}")
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """A command by its name."""
        self.list_commands(ctx)
        return super().get_command(ctx, name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="autopeft")
def commands() -> None:
    r"""Search for the fine-tuning method, rank, layers and learning rate that suit your model, data and budget.

    \b
    Examples:
      autopeft search --budget 0.5%                        the built-in model and data, a few minutes
      autopeft search --model ./my-bert --data train.csv --budget 300k
      autopeft report runs/NAME                            open what it found
      autopeft export runs/NAME --to peft                  take the best configuration away
      autopeft train runs/NAME                             train it in full and save the adapter
    """
    check_plugins()
