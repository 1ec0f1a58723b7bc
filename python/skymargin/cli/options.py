"""Options of the command line in groups with titles, what their values are turned into, and messages on one line."""

from __future__ import annotations

from typing import Any

import click

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_FIRST_GROUP = "Options"


class GroupedOption(click.Option):
    """An option that is listed under the title of its group."""

    def __init__(self, *names: Any, group: str = _FIRST_GROUP, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.group = group


class GroupedCommand(click.Command):
    """A command whose help lists the options by group, those without one first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options into the help."""
        groups: dict[str, list[tuple[str, str]]] = {_FIRST_GROUP: []}
        for option in self.get_params(ctx):
            # What an argument is the command's first line says.
            record = option.get_help_record(ctx) if isinstance(option, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(option, "group", _FIRST_GROUP), []).append(record)
        for title, records in groups.items():
            with formatter.section(title):
                formatter.write_dl(records)


def read_pixels(
    _ctx: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> list[tuple[int, int]]:
    """Pixels written as ORDER/PIXEL."""
    found = []
    for text in given:
        order, slash, pixel = text.partition("/")
        if not (slash and order.isdecimal() and pixel.isdecimal()):
            raise click.BadParameter(f"{text!r} is not ORDER/PIXEL, such as 3/17")
        found.append((int(order), int(pixel)))
    return found


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
    found = {}
    for text in given:
        key, sign, value = text.partition("=")
        if not (sign and key):
            raise click.BadParameter(f"{text!r} is not KEY=VALUE")
        found[key] = value
    return found


def one_line(message: str) -> str:
    """A message on one line; what a terminal would act upon, from a file of a catalog perhaps, is spelled out."""
    line = " ".join(message.split())
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in line)
