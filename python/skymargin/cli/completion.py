"""The command `skymargin completion`."""

from __future__ import annotations

import click

from skymargin.cli.options import CONTEXT

_SHELLS = ("bash", "zsh", "fish")


@click.command(context_settings=CONTEXT)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the code that completes commands, options and paths in SHELL: bash, zsh or fish.

    \b
    For every new shell, add to its start-up file (~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish):
        eval "$(skymargin completion bash)"
        eval "$(skymargin completion zsh)"
        skymargin completion fish | source
    """  # noqa: D301 - \b is click's own mark, a real backspace
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    print(kind(context.find_root().command, {}, "skymargin", "_SKYMARGIN_COMPLETE").source())
