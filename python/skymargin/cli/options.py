"""Options of the command line: groups with headings, shared options, parsing of values, reports."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from skymargin.cli.terminal import coloured

if TYPE_CHECKING:
    from collections.abc import Callable

    from skymargin.storage.paths import AnyPath

    TextType = click.ParamType[str]
    NumberType = click.ParamType[float]
else:
    # It takes no parameter in older versions.
    TextType = NumberType = click.ParamType

F = TypeVar("F", bound="Callable[..., Any]")

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_FIRST_GROUP = "Options"
_MAY_BE_SECRET = re.compile("key|secret|token|pass|auth|cred|sas", re.IGNORECASE)


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


class PathOrURL(TextType):
    """A path, which shells complete, or a URL; the commands check it.

    Parameters
    ----------
    kind
        What is completed: `file`, which includes folders, or `dir`.
    """

    name = "path"

    def __init__(self, kind: str = "file") -> None:
        self.kind = kind

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Let the shell complete the path."""
        return [CompletionItem(incomplete, type=self.kind)]


class Arcseconds(NumberType):
    """A number of arcseconds; which are allowed is checked where they are used."""

    name = "float"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a number."""
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number of arcseconds, such as 10 or 0.5", param, ctx)


FOLDER = PathOrURL("dir")
FILE = PathOrURL("file")


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
    return value(
        "--primary CATALOG", "Its primary catalog.  [default: the one that MARGIN names]", type=FOLDER
    )


def template_option(what: str = "CATALOG", group: str = _FIRST_GROUP) -> Callable[[F], F]:
    """The option `--path-template`, as the argument `path_generator`."""
    return value(
        "--path-template path_generator TEMPLATE",
        f"Where the partitions of {what} lie, if not where its format has them, with {{order}}, {{dir}} and {{pixel}}: "
        "a path relative to it, an absolute path or a URL.",
        group,
    )


def progress_option(help_text: str = "Show no progress bars.", group: str = _FIRST_GROUP) -> Callable[[F], F]:
    """The option `--no-progress`, as the argument `progress_bar`."""
    return flag("--no-progress progress_bar", help_text, group, negated=True)


def quiet_option(help_text: str, group: str = _FIRST_GROUP) -> Callable[[F], F]:
    """The option `-q`, as the argument `quiet`."""
    return flag("-q --quiet quiet", help_text, group)


def storage_options(
    what: str = "Option of the file system of URLs", group: str = _FIRST_GROUP
) -> Callable[[F], F]:
    """The options `--storage-option` and `--anon`, as the arguments `storage` (a dict) and `anon`."""

    def add(function: F) -> F:
        with_anon = flag("--anon", "Read URLs without credentials, as public buckets need it.", group)(
            function
        )
        return value(
            "--storage-option storage KEY=VALUE",
            f"{what}, such as endpoint_url=https://... May be repeated.",
            group,
            multiple=True,
            callback=read_storage_options,
        )(with_anon)

    return add


def read_storage_options(
    ctx: click.Context, option: click.Parameter, given: tuple[str, ...]
) -> dict[str, Any]:
    """Options of a file system written as KEY=VALUE: true, false, numbers and JSON as such, anything else as text."""
    return {key: _parsed(key, text) for key, text in read_pairs(ctx, option, given).items()}


def _parsed(key: str, text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    # A password may look like a number.
    if text.startswith(("{", "[")) or (re.fullmatch(r"-?\d+", text) and not _MAY_BE_SECRET.search(key)):
        try:
            return json.loads(text)
        except ValueError:
            raise click.BadParameter(f"{key}: {text!r} is not valid JSON") from None
    return text


def opened(path: str, storage: dict[str, Any], *, anon: bool) -> AnyPath | str:
    """A path as it is; a URL with the options of its file system, for reading."""
    from skymargin.storage.paths import as_path, is_local, with_options

    if not (storage or anon) or is_local(as_path(path)):
        return path
    return with_options(path, storage | (anonymous(path) if anon else {}))


def is_remote(path: str) -> bool:
    """Whether it is a URL of a server; one of an unknown kind is refused where it is opened."""
    from skymargin.storage.paths import as_path, is_local

    try:
        return not is_local(as_path(path))
    except ValueError:
        return True


def anonymous(url: str) -> dict[str, Any]:
    """The storage options for a URL that is read without credentials."""
    protocol = url.partition("://")[0]
    if protocol in ("http", "https"):
        return {}
    return {"token": "anon"} if protocol in ("gs", "gcs") else {"anon": True}


def options_of_files(template: str | None, storage: dict[str, Any], *, anon: bool) -> dict[str, Any] | None:
    """The storage options of the files that a `--path-template` names by a URL; None for any other template."""
    if template is None or "://" not in template:
        return None
    return storage | (anonymous(template) if anon else {}) or None


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


def print_reports(
    kind: str, reports: list[Any], *, as_json: bool, between: str = "\n", more: dict[str, Any] | None = None
) -> None:
    """Print reports for people, or as the JSON that docs/reference/json.md describes.

    Parameters
    ----------
    kind
        What they are: `build`, `plan`, `verify`, `info` or `collection`.
    reports
        The reports.
    as_json
        Whether to print JSON.
    between
        What separates the reports for people.
    more
        What else the JSON states.
    """
    if as_json:
        import skymargin._core as _core

        values = [report.to_dict() for report in reports]
        print(
            json.dumps(
                {"skymargin": _core.VERSION, "type": kind, "reports": values, **(more or {})}, indent=2
            )
        )
    else:
        print(coloured(between.join(report.summary() for report in reports), sys.stdout))
