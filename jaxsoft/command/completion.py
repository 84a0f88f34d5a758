"""What bash completes after `jaxsoft`: commands and flags as the usage has them, experiments, datasets and settings."""

import re

from jaxsoft import config
from jaxsoft.command import experiments

_SCRIPT = """_jaxsoft() {{
  local words
  case "$COMP_CWORD ${{COMP_WORDS[1]}}" in
    "1 "*) words="{commands}" ;;
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
  case "${{COMPREPLY[*]}}" in *=) compopt -o nospace ;; esac
}}
complete -o default -F _jaxsoft jaxsoft"""


def script(usage: str, datasets: list[str]) -> str:
    """The script that a shell evaluates; after a flag's `=` files are completed.

    Args:
      usage: one command a line, `  jaxsoft NAME words and --flags`, further lines indented more, then an empty line.
      datasets: their names, for the command `data`.
    """
    block = re.sub(r"\n {3,}", " ", usage[usage.index("  jaxsoft ") :].partition("\n\n")[0])
    commands = dict(re.findall(r"^ *jaxsoft (\w+)(.*)$", block, re.MULTILINE))
    named = {"run": [*experiments.names(), *config.flags()], "configs": experiments.names(), "data": datasets}
    words = {name: " ".join(_words(rest) + named.get(name, [])) for name, rest in commands.items()}
    cases = [f'    *" {name}") words="{own}" ;;' for name, own in words.items()]
    return _SCRIPT.format(commands=" ".join(commands), cases="\n".join(cases))


def _words(usage: str) -> list[str]:
    """The flags of a command, and the words that it takes as they are.

    >>> _words(" list | prepare NAME [--root=DIR] [--mix]")
    ['list', 'prepare', '--root=', '--mix']
    """
    return [*re.findall(r"(?:^|[|\[]) ?([a-z]+)", usage), *dict.fromkeys(re.findall(r"--\w+=?", usage))]
