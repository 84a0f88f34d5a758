"""Every file of configs/ says what it claims, and is a config that a run would accept."""

import ast
import re
import runpy
from pathlib import Path

import pytest

from jaxsoft import config, errors
from jaxsoft.experiment import plan

FOLDER = Path(__file__).parents[1] / "configs"
FILES = sorted(FOLDER.glob("*.py"))
each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def get_config(path):
    return runpy.run_path(str(path))["get_config"]


def test_there_are_configs():
    assert "digits" in [path.stem for path in FILES]


@each
def test_the_header_says_claim_and_command(path):
    header = ast.get_docstring(ast.parse(path.read_text())) or ""
    words = dict(re.findall(r"^ *(Claim|Command) +(\S.*)$", header, re.MULTILINE))
    assert set(words) == {"Claim", "Command"}
    assert f"jaxsoft run --config=configs/{path.name}" in words["Command"]


@each
@pytest.mark.parametrize("argument", [None, "quick", "quick=false"])
def test_a_run_would_accept_it(path, argument):
    settings = config.read(get_config(path)(argument))
    assert settings.name.startswith(path.stem)
    plan.check(settings)


@each
def test_quick_is_less_work(path):
    whole, quick = (config.read(get_config(path)(argument)) for argument in (None, "quick"))
    assert quick.teacher.epochs < whole.teacher.epochs
    assert max(quick.sweep.ipc) < max(whole.sweep.ipc)
    assert config.read(get_config(path)("quick=false")) == whole


@each
def test_an_unknown_argument_is_refused_with_the_choices(path):
    with pytest.raises(errors.ConfigError, match=r"^unknown config argument 'quik'; choices: quick"):
        get_config(path)("quik")


@pytest.mark.parametrize("path", [p for p in FILES if p.stem != "digits"], ids=lambda path: path.stem)
def test_the_papers_protocol_can_be_asked_for(path):
    assert config.read(get_config(path)("protocol=paper")).protocol == "paper"
    with pytest.raises(errors.ConfigError, match=r"^config\.protocol expects one of sealed, paper, got 'test'$"):
        config.read(get_config(path)("protocol=test"))
