"""`harness completion SHELL`: what makes a shell complete the commands, as click has it."""

import click
from click.shell_completion import get_completion_class

from harness.lead.terminal.reading import Command

VARIABLE = "_HARNESS_COMPLETE"


INSTALLED = """\b
bash, in ~/.bashrc:  eval "$(harness completion bash)"
zsh, in ~/.zshrc:    eval "$(harness completion zsh)"
fish, once:          harness completion fish > ~/.config/fish/completions/harness.fish
"""
"""How it is installed, in lines that click leaves as they are."""


@click.command(cls=Command, epilog=INSTALLED)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def main(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands.

    Options, study files and folders of results are completed too. To install it, see below.
    """
    found = get_completion_class(shell)
    assert found is not None, "click knows these three"
    click.echo(found(context.find_root().command, {}, "harness", VARIABLE).source())


if __name__ == "__main__":
    main()
