"""The command ``completion``: scripts by which shells complete command lines, made of the parser itself."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

from fastnst.cli.errors import DONE
from fastnst.cli.registry import build_parser

HELP = "print a script by which a shell completes fastnst's command lines"

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
# fastnst: completion for bash; load it by: source <(fastnst completion bash)
_fastnst() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W {commands} -- "$word"))
        return
    fi
    case $command in
{cases}
    esac
    compopt -o default 2>/dev/null
}}
complete -F _fastnst fastnst
"""
_BASH_WORDS = 'COMPREPLY=($(compgen -W {} -- "$word"))'
_ZSH = """\
#compdef fastnst
# fastnst: completion for zsh; load it by: source <(fastnst completion zsh)
autoload -Uz bashcompinit && bashcompinit
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help=" or ".join(SHELLS))


def run(arguments: argparse.Namespace) -> int:
    commands = dict(_commands(build_parser()))
    print(_fish(commands) if arguments.shell == "fish" else _posix(commands, arguments.shell), end="")
    return DONE


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _values(parser: argparse.ArgumentParser) -> Iterator[tuple[argparse.Action, list[str]]]:
    """The options of a command, and the words that may follow each."""
    for action in parser._actions:
        if action.option_strings:
            yield action, [str(choice) for choice in action.choices or ()]


def _posix(commands: dict[str, argparse.ArgumentParser], shell: str) -> str:
    cases = []
    for name, parser in commands.items():
        options = " ".join(option for action, _ in _values(parser) for option in action.option_strings)
        followed = [
            f"            {'|'.join(action.option_strings)}) {_BASH_WORDS.format(shlex.quote(' '.join(words)))}; return ;;"
            for action, words in _values(parser)
            if words
        ]
        before = ["        case $before in", *followed, "        esac"] if followed else []
        lines = [
            f"    {name})",
            *before,
            "        if [[ $word == -* ]]; then",
            f'            COMPREPLY=($(compgen -W {shlex.quote(options)} -- "$word")); return',
            "        fi ;;",
        ]
        cases.append("\n".join(lines))
    text = _BASH.format(commands=shlex.quote(" ".join(commands)), cases="\n".join(cases))
    return _ZSH + text.partition("\n")[2] if shell == "zsh" else text


def _fish(commands: dict[str, argparse.ArgumentParser]) -> str:
    lines = ["# fastnst: completion for fish; load it by: fastnst completion fish | source"]
    for name, parser in commands.items():
        about = shlex.quote((parser.description or "").rstrip("."))
        lines.append(f"complete -c fastnst -n __fish_use_subcommand -f -a {name} -d {about}")
        for action, words in _values(parser):
            kinds = "".join(f" -{'l' if each.startswith('--') else 's'} {each.lstrip('-')}" for each in action.option_strings)
            after = f" -x -a {shlex.quote(' '.join(words))}" if words else " -r" if action.nargs != 0 else ""
            about = shlex.quote((action.help or "").replace("%%", "%").split(";")[0][:100])
            lines.append(f"complete -c fastnst -n '__fish_seen_subcommand_from {name}'{kinds}{after} -d {about}")
    return "\n".join(lines) + "\n"
