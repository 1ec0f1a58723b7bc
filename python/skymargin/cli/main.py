"""The command `skymargin`: its subcommands and exit codes.

Heavy imports wait until a command runs, so that help and usage errors appear at once.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

import click

from skymargin.cli.audit import info, verify
from skymargin.cli.build import build
from skymargin.cli.clean import clean
from skymargin.cli.collection import collection
from skymargin.cli.completion import completion
from skymargin.cli.options import CONTEXT
from skymargin.cli.pictures import demo, plot
from skymargin.cli.terminal import give_up_output, print_error, printed_messages
from skymargin.cli.words import in_words_of_options

if TYPE_CHECKING:
    from collections.abc import Sequence

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


@click.group(context_settings=CONTEXT)
@click.version_option(package_name="skymargin", message="skymargin %(version)s")
def cli() -> None:
    """Exact margin caches for HATS and HiPSCat catalogs.

    The margin of a partition is every row of other partitions within a threshold of its pixel. With it, a crossmatch
    up to that radius loses nothing at the edges.
    """


# The line of each in the list of commands, where the first sentence of its own help would be cut.
for _command, _line in {
    build: "Build the margin of a catalog.",
    collection: "List or change the margins of a collection.",
    verify: "Check a margin, made by any tool, against its catalog.",
    info: "Summarise catalogs, margins and collections.",
    clean: "Remove what interrupted runs left.",
    plot: "Draw a pixel and its margin, or the whole sky.",
    demo: "Build, check and draw the margin of 482,176 Gaia stars.",
    completion: "Complete commands, options and paths in your shell.",
}.items():
    _command.short_help = _line
    cli.add_command(_command)


# Nearly all that is made during imports stays: looking for garbage after every 700 objects finds none.
_OBJECTS_BEFORE_COLLECTION = 10_000


def program() -> int:
    """Run the command line as a process of its own, and return its exit code.

    The garbage collector is kept out of the way, which a function that is called by others' code must not do.
    """
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    try:
        return main()
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            # It is said already.
            give_up_output()
        # Python looks through all modules for garbage when it ends: 20 ms for those of pyarrow.
        gc.freeze()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0: success; 1: an error, reported in one line on standard error; 2: wrong usage; 130: interrupted. With
    ``SKYMARGIN_TRACEBACK=1`` an error is raised instead, with its traceback.

    Parameters
    ----------
    arguments : sequence of str, optional
        The arguments after the command's name; default ``sys.argv[1:]``.
    """
    try:
        with printed_messages():
            result = cli.main(arguments, prog_name="skymargin", standalone_mode=False)
        _flush()
    except click.UsageError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        return _report_error(error.format_message())
    except (KeyboardInterrupt, click.Abort) as error:
        print(in_words_of_options(_with_notes("skymargin: interrupted", error)), file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader is gone (skymargin ... | head): there is nobody to tell.
        give_up_output()
        return EXIT_ERROR
    except Exception as error:
        if os.environ.get("SKYMARGIN_TRACEBACK") == "1":
            raise
        from skymargin.errors import SkymarginError

        # The messages of these explain themselves; other errors are named by their type.
        explains = isinstance(error, (SkymarginError, ValueError, OSError, ImportError)) and str(error)
        message = str(error) if explains else f"{type(error).__name__}: {error}"
        return _report_error(_with_notes(message, error))
    return result if isinstance(result, int) else 0


def _flush() -> None:
    """Write what was printed now, so that a full disk is an error of the command."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up_output()
        raise OSError(f"standard output cannot be written: {error}") from error


def _with_notes(message: str, error: BaseException) -> str:
    """The message with the error's notes, such as where the checkpoint of the run is kept."""
    # click raises its own error from a KeyboardInterrupt.
    notes = getattr(error, "__notes__", None) or getattr(error.__cause__, "__notes__", None) or []
    return ". ".join([message, *notes])


def _report_error(message: str) -> int:
    print_error(message)
    return EXIT_ERROR
