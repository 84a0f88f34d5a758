"""`make docs`: pages that are made of code and notebooks, then the site in build/site; any warning fails."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import griffe
from nbconvert import MarkdownExporter
from nbconvert.writers import FilesWriter

from jaxsoft import config, main

DOCS = Path(__file__).resolve().parent
_LINES = re.compile(r"--(config\.(?:(\w+)\.)?(\w+))=(.*)\n    \((.*?)\) (.*)")


class Doctests(griffe.Extension):
    """Shows examples of docstrings as code; `mkdocs.yml` names it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence every block that begins with a prompt."""
        if obj.docstring:
            text = obj.docstring.value
            obj.docstring.value = re.sub(r"(?:^|(?<=\n))>>> .+(?:\n.+)*", r"```pycon\n\g<0>\n```", text)


def settings() -> str:
    """The settings as tables, a group each: what `jaxsoft run --help` lists."""
    text = "# Settings\n\nEvery key of a config and of the command line: `--config.student.steps=300`.\n"
    group = None
    for _, inside, name, value, rule, meaning in _LINES.findall("\n".join(config.described())):
        if inside != group:
            group = inside
            text += f"\n## config.{inside}\n" if inside else "\n## config\n"
            text += "\n| setting | default | takes | meaning |\n|---|---|---|---|\n"
        default = f"`{value}`" if value else "empty"
        text += "| " + " | ".join(cell.replace("|", "\\|") for cell in (f"`{name}`", default, rule, meaning)) + " |\n"
    return text


def commands() -> str:
    """What `jaxsoft --help` says."""
    return f"# Commands\n\n```text\n{(main.__doc__ or '').strip()}\n```\n"


def write() -> None:
    """The pages that are made, in docs/ beside those that are written; git ignores them."""
    (DOCS / "reference" / "settings.md").write_text(settings())
    (DOCS / "reference" / "commands.md").write_text(commands())
    for notebook in sorted((DOCS / "notebooks").glob("*.ipynb")):
        named = {"output_files_dir": f"{notebook.stem}_files", "unique_key": notebook.stem}
        text, parts = MarkdownExporter().from_filename(str(notebook), named)
        FilesWriter(build_directory=str(notebook.parent)).write(text, parts, notebook.stem)


def build() -> str:
    """Build the site; what was said of it. The strict mode of Zensical lets warnings about docstrings pass, this does not."""
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=DOCS.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode or "griffe: " in done.stdout:
        raise SystemExit(done.stdout)
    return done.stdout


if __name__ == "__main__":
    write()
    print(build(), end="")
