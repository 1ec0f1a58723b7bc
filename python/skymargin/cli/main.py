"""The command `skymargin`: its commands, and how it ends.

Heavy imports wait until a command runs, so that help and mistakes are answered at once.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from skymargin.cli.audit import info, verify
from skymargin.cli.build import build
from skymargin.cli.options import CONTEXT, one_line
from skymargin.cli.pictures import demo, plot

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


@click.group(context_settings=CONTEXT)
@click.version_option(package_name="skymargin", message="skymargin %(version)s")
def cli() -> None:
    """Exact margin caches for HATS and HiPSCat catalogs.

    The margin of a partition is every row of other partitions that lies within a threshold of its pixel. With
    it, a crossmatch up to that radius loses nothing at the edges.
    """


for _command in (build, verify, info, plot, demo):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Zero when all went well, 1 for an error (one line on standard error says which), 2 for wrong usage, 130
    when interrupted. With ``SKYMARGIN_TRACEBACK=1`` an error is raised instead, with its traceback.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the command's name; default ``sys.argv[1:]``.
    """
    try:
        result = cli.main(arguments, prog_name="skymargin", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        return _complain(error.format_message())
    except (KeyboardInterrupt, click.Abort) as error:
        print(_with_notes("skymargin: interrupted", error), file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away (skymargin ... | head): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except Exception as error:
        if os.environ.get("SKYMARGIN_TRACEBACK") == "1":
            raise
        from skymargin.errors import SkymarginError

        # These speak for themselves; what else goes wrong is named by its kind.
        told = isinstance(error, (SkymarginError, ValueError, OSError, ImportError)) and str(error)
        return _complain(_with_notes(str(error) if told else f"{type(error).__name__}: {error}", error))
    return result if isinstance(result, int) else 0


def _with_notes(message: str, error: BaseException) -> str:
    """Message with what was added to the error on its way, such as where the progress of the run is kept."""
    # click raises an error of its own from a KeyboardInterrupt.
    notes = getattr(error, "__notes__", None) or getattr(error.__cause__, "__notes__", None) or []
    return ". ".join([message, *notes])


def _complain(message: str) -> int:
    # Arguments of the pipeline are options here.
    for option in ("overwrite", "only_changed", "add_to_collection", "default_margin"):
        message = message.replace(f"{option}=True", f"--{option.replace('_', '-')}")
    print("skymargin: error:", one_line(message), file=sys.stderr)
    return EXIT_ERROR
