"""Options of the command line: groups with headings, shared options, parsing of values, one-line messages."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_FIRST_GROUP = "Options"


class GroupedOption(click.Option):
    """An option that the help lists under the heading of its group."""

    def __init__(self, *names: Any, group: str = _FIRST_GROUP, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help lists the options by group, ungrouped ones first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options into the help."""
        groups: dict[str, list[tuple[str, str]]] = {_FIRST_GROUP: []}
        for option in self.get_params(ctx):
            # Arguments are described in the first line of the help.
            record = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(option, "group", _FIRST_GROUP), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def value(names: str, help_text: str, group: str = _FIRST_GROUP, **settings: Any) -> Callable[[F], F]:
    """An option with a value; `names` has click's names of it, then the metavar in capitals, if there is one."""
    words = names.split()
    metavar = words.pop() if words[-1].isupper() else None
    return click.option(*words, cls=GroupedOption, metavar=metavar, help=help_text, group=group, **settings)


def flag(names: str, help_text: str, group: str = _FIRST_GROUP, *, negated: bool = False) -> Callable[[F], F]:
    """An option without a value; when `negated`, its argument is true by default and the option makes it false."""
    callback = (lambda _context, _option, given: not given) if negated else None
    return click.option(
        *names.split(), cls=GroupedOption, is_flag=True, callback=callback, help=help_text, group=group
    )


def primary_option() -> Callable[[F], F]:
    """The option `--primary` of commands that take a margin."""
    return value("--primary CATALOG", "Its primary catalog.  [default: the one that MARGIN names]")


def progress_option(help_text: str = "Show no progress bars.", group: str = _FIRST_GROUP) -> Callable[[F], F]:
    """The option `--no-progress`, as the argument `progress_bar`."""
    return flag("--no-progress progress_bar", help_text, group, negated=True)


def read_pixels(
    _ctx: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> list[tuple[int, int]]:
    """Pixels written as ORDER/PIXEL."""
    pixels = []
    for text in given:
        order, slash, pixel = text.partition("/")
        if not (slash and order.isdecimal() and pixel.isdecimal()):
            raise click.BadParameter(f"{text!r} is not ORDER/PIXEL, such as 3/17")
        pixels.append((int(order), int(pixel)))
    return pixels


def read_pixel(context: click.Context, option: click.Parameter, given: str | None) -> tuple[int, int] | None:
    """A pixel written as ORDER/PIXEL."""
    return None if given is None else read_pixels(context, option, (given,))[0]


def read_cone(
    _ctx: click.Context, _option: click.Parameter, given: str | None
) -> tuple[float, float, float] | None:
    """A cone written as RA,DEC,RADIUS."""
    if given is None:
        return None
    try:
        ra_deg, dec_deg, radius_deg = (float(text) for text in given.split(","))
    except ValueError:
        raise click.BadParameter(f"{given!r} is not RA,DEC,RADIUS in degrees, such as 45,-10,2.5") from None
    return ra_deg, dec_deg, radius_deg


def read_pairs(_ctx: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Names and values written as KEY=VALUE."""
    pairs = {}
    for text in given:
        key, sign, text_value = text.partition("=")
        if not (sign and key):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE")
        pairs[key] = text_value
    return pairs


def print_reports(reports: list[Any], *, as_json: bool) -> None:
    """Print reports for people, or as JSON: an object for one, a list for several."""
    if as_json:
        values = [report.to_dict() for report in reports]
        print(json.dumps(values if len(values) > 1 else values[0], indent=2))
    else:
        print("\n".join(report.summary() for report in reports))


def one_line(message: str) -> str:
    """A message on one line; characters that a terminal would interpret are escaped, as they may come from a file."""
    line = " ".join(message.split())
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in line)
