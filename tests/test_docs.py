"""The documentation is true: its examples and notebooks run, every public name is told of, no link of the site is dead."""

import contextlib
import html.parser
import json
import re
import runpy
import shlex
import warnings
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import jaxsoft
from jaxsoft import config, main
from jaxsoft.command import arguments, clusters
from jaxsoft.experiment.plan import checks
from jaxsoft.labels import given

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
EXTRA = "comes with the extra docs: pip install '.[docs]'"
NAMES = re.findall(r"^::: (\S+)", (DOCS / "reference" / "names.md").read_text(), re.MULTILINE)
SMALLER = {
    r"convnet\(depth=2, width=\d+\)": "mlp(hidden=16)",
    r"steps=\d+": "steps=20",
    r"seed=\(0, 1, 2\)": "seed=(0, 1)",
}
FEWER = {  # of a notebook as a test runs it
    "digits": {"SEEDS = range(10)": "SEEDS = range(2)", "ipc=(1, 2, 5, 10)": "ipc=(1, 2)", "steps=300": "steps=20"},
    "torch_teacher": {"SEEDS = range(20)": "SEEDS = range(2)", "EPOCHS = 30": "EPOCHS = 2", "steps=300": "steps=20"},
}


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def runs(page):
    """What follows `jaxsoft run` in the commands of a page."""
    whole = (DOCS / page).read_text().replace("\\\n", "")
    return [shlex.split(command) for command in re.findall(r"^jaxsoft run (.*)$", whole, re.MULTILINE)]


@pytest.fixture
def page_runs(tmp_path, monkeypatch):
    """A function that executes blocks of a page, one after the other, with smaller networks and fewer steps."""
    monkeypatch.chdir(tmp_path)

    def run(*blocks):
        names: dict = {"__name__": "page"}
        for block in blocks:
            for old, new in SMALLER.items():
                block = re.sub(old, new, block)
            exec(block, names)  # noqa: S102
        return names

    return run


def test_the_tutorial_runs_and_its_config_says_what_its_script_did(page_runs, capsys):
    names = page_runs(*blocks("tutorial.md"))
    assert "hard labels, %" in capsys.readouterr().out
    settings = config.read(names["get_config"]())
    assert [settings.teacher, settings.student, settings.sweep] == [names[n] for n in ("teacher", "student", "sweep")]


@pytest.mark.parametrize("block", [*blocks("bring.md")[:4], blocks("labels.md")[0], blocks("field.md")[0]])
def test_what_one_brings_along_trains_students(block, page_runs, capsys):
    assert len(block.splitlines()) <= 25
    page_runs(block)
    header, _, *rows = capsys.readouterr().out.splitlines()
    assert header.startswith("IPC  hard labels, %") and rows[0].split()[0] in ("1", "2", "5")


def test_all_that_one_brings_along_is_taken_home_by_one_script(page_runs, capsys):
    script = blocks("bring.md")[4]
    assert sum(bool(line) for line in script.splitlines()) == 25
    names = page_runs(script)
    told = re.findall(r"model object:(\w+)_x.*\nIPC  hard labels, %", capsys.readouterr().out)
    assert told == ["Small", "linear"] and Path("curves.png").stat().st_size > 1000
    assert jaxsoft.load_export("taken").test_accuracy == names["results"][3]["test_accuracy"]


def test_rows_in_a_file_fit_the_command_below_them(page_runs):
    page_runs(*blocks("labels.md"))
    (command,) = [words for words in runs("labels.md") if "linear.npy" in " ".join(words)]
    labels = arguments.settings(command)[0].sweep.labels
    given.check_rows(labels, jaxsoft.load("digits"))
    assert [str(given.spec_of(text)).partition(",")[0] for text in labels] == ["hard", "array(linear", "array(linear"]


@pytest.mark.parametrize("page", ["labels.md", "losses.md", "field.md"])
def test_commands_of_a_page_can_be_planned_each_in_a_folder_of_its_own(page):
    found = [arguments.settings(words)[0] for words in runs(page) if "linear.npy" not in " ".join(words)]
    assert len({settings.name for settings in found}) == len(found) > 2
    for settings in found:
        if "imported(" not in " ".join(settings.sweep.labels):  # which takes a file too
            checks.check(settings)


@pytest.mark.parametrize("page", ["scale.md", "machines.md", "data.md"])
def test_runs_of_a_page_in_blocks_tables_and_text_are_read_as_the_command_does(page, monkeypatch):
    """Those on a cluster too, which is not looked for."""
    read: list[config.Settings] = []
    monkeypatch.setattr(clusters, "check", lambda given: None)
    monkeypatch.setattr(clusters, "joined", lambda given: contextlib.nullcontext())
    monkeypatch.setattr(main, "_begin", lambda settings, *_: read.append(settings) or 0)
    text = re.sub(r"\$\w+", "0", (DOCS / page).read_text().replace("\\\n", ""))
    commands = re.findall(r"jaxsoft (run [a-z][^`\"\n]*?) *(?=[`\"\n]|'\)|  #)", text)
    for command in commands:
        assert main.main(shlex.split(command)) == 0, command
    assert len(read) == len(commands) >= 5
    for settings in read:
        checks.check(settings)


def test_what_one_takes_home_is_there(page_runs, capsys):
    first, again, kept, taken = blocks("home.md")
    names = page_runs(first, again, kept)
    assert names["logits"].shape == (500, 10) and len(names["rows"]) == len(names["images"])
    assert [*names["variables"]] == ["params"]
    commands = re.findall(r"^jaxsoft (.*)$", (DOCS / "home.md").read_text(), re.MULTILINE)
    assert [main.main(shlex.split(command)) for command in commands] == [0, 0]
    names = page_runs(f"import jaxsoft\n{taken}")
    assert names["row"]["status"] == "done"


def test_pictures_of_ones_own_go_from_import_to_export(page_runs, monkeypatch, tmp_path, capsys):
    """The commands of the page as they stand, but for a smaller comparison; then its script."""
    monkeypatch.setenv("JAXSOFT_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("JAXSOFT_SETS", raising=False)
    pictures, students, _ = blocks("sets.md")
    page_runs(pictures)
    section = (DOCS / "sets.md").read_text().partition("## Pictures of your own")[2].partition("\n## ")[0]
    small = ["--quick", "--config.student.steps=4", "--config.student.evaluations=1", "--experts=1"]
    small += ["--rates=2e-3,5e-3"]
    for command in re.findall(r"^jaxsoft (.*)$", section, re.MULTILINE):
        words = shlex.split(command)
        assert main.main(words + (small if words[0] == "compare" else [])) == 0, command
    assert "Images of sets and random ones: too few seeds" in capsys.readouterr().out
    assert len(list(Path("taken/images").glob("*/*.png"))) == 50
    mine, again = jaxsoft.load_set("mine"), jaxsoft.load_set("again")
    assert (mine.images == again.images).all() and mine.rows == pytest.approx(again.rows)
    names = page_runs(students)
    assert {row["status"] for row in names["results"]} == {"done"} and len(names["results"]) == 12


@pytest.mark.parametrize("name", sorted(path.stem for path in (DOCS / "notebooks").glob("*.ipynb")))
def test_a_notebook_runs_and_has_been_run(name, monkeypatch):
    nbformat = pytest.importorskip("nbformat", reason=EXTRA)
    nbclient = pytest.importorskip("nbclient", reason=EXTRA)
    pytest.importorskip("ipykernel", reason=EXTRA)
    if name == "torch_teacher":
        pytest.importorskip("torch", reason="comes with the extra bench: pip install '.[bench]'")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    path = DOCS / "notebooks" / f"{name}.ipynb"
    assert path.stat().st_size < 200_000
    book = nbformat.read(path, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [
        out for cell in code for out in cell.outputs if out.get("name") == "stderr" or out.output_type == "error"
    ]
    for old, new in FEWER[name].items():
        assert sum(cell.source.count(old) for cell in code) == 1, old
        for cell in code:
            cell.source = cell.source.replace(old, new)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the kernel's client
        nbclient.NotebookClient(book, timeout=300).execute()
    assert any("hard labels, %" in out.get("text", "") for cell in code for out in cell.outputs)


def test_every_public_name_has_a_docstring():
    griffe = pytest.importorskip("griffe", reason=EXTRA)

    def untold(parent):
        for name, found in parent.members.items():
            if found.is_alias or name.startswith("_") or found.is_attribute:
                continue
            if not found.has_docstring:
                yield found.path
            if not found.is_function:
                yield from untold(found)

    package = griffe.load("jaxsoft", search_paths=[ROOT], resolve_aliases=True)
    assert list(untold(package)) == []
    assert [name for name in jaxsoft.__all__ if not package[name].has_docstring] == []


class Page(html.parser.HTMLParser):
    """What a page links to and fetches, and the anchors that it has."""

    def __init__(self, text):
        super().__init__()
        self.links, self.fetched, self.anchors = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        elif tag in ("link", "script", "img", "iframe", "source"):
            self.fetched += [given[key] for key in ("href", "src") if given.get(key)]


@pytest.fixture(scope="module")
def site():
    """The pages of the site by their path."""
    for module in ("zensical", "mkdocstrings", "nbconvert"):
        pytest.importorskip(module, reason=EXTRA)
    made = runpy.run_path(str(ROOT / "docs/build.py"))
    made["write"]()
    made["build"]()
    folder = ROOT / "build" / "site"
    return {path.relative_to(folder).as_posix(): Page(path.read_text()) for path in sorted(folder.rglob("*.html"))}


def test_the_site_is_whole_and_fetches_nothing_from_elsewhere(site):
    folder = ROOT / "build" / "site"
    dead = []
    for name, page in site.items():
        for link in page.links + page.fetched:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if link in page.fetched:
                    dead.append((name, link))
                continue
            base = folder / name if not link.startswith("/") else folder / "index.html"
            target = (base.parent / unquote(parts.path).lstrip("/")).resolve() if parts.path else folder / name
            target = target / "index.html" if target.is_dir() else target
            other = site.get(target.relative_to(folder).as_posix()) if target.is_relative_to(folder) else None
            if not target.is_file() or parts.fragment and other and unquote(parts.fragment) not in other.anchors:
                dead.append((name, link))
    assert dead == []


def test_the_reference_has_every_public_name(site):
    griffe = pytest.importorskip("griffe", reason=EXTRA)
    package = griffe.load("jaxsoft", search_paths=[ROOT])
    front, names = site["reference/python.html"].anchors, site["reference/names.html"].anchors
    assert {f"jaxsoft.{name}" for name in jaxsoft.__all__} <= front
    for module, anchors in [("jaxsoft.errors", front), *((name, names) for name in NAMES)]:
        own = package[module.removeprefix("jaxsoft.")].members.values()
        wanted = {
            found.path
            for found in own
            if not found.is_alias and (found.is_function or found.is_class) and found.name[0] != "_"
        }
        assert wanted and wanted - anchors == set()
    groups = re.split(r"\n## (\S+)\n", (DOCS / "reference" / "settings.md").read_text())[1:]
    told = {
        f"--{group}.{key}"
        for group, table in zip(groups[::2], groups[1::2])
        for key in re.findall(r"\n\| `(\w+)`", table)
    }
    assert told == {line.partition("=")[0] for line in config.described() if line[0] == "-"}


def test_search_works_without_a_network(site):
    found = json.loads((ROOT / "build" / "site" / "search.json").read_text())
    assert "temperature" in json.dumps(found) and len(found["items"]) > 100
