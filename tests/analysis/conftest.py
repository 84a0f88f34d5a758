"""What the tests of analysis share; its being here lets those in `questions/` import `synthetic`, too."""

import inspect

import pytest

from jaxsoft.analysis.showing import drawing
from jaxsoft.analysis.statistics import inference, structure, variance


@pytest.fixture
def no_drawing(monkeypatch):
    """Pictures have tests of their own; here they only cost time."""
    monkeypatch.setattr(drawing, "png", lambda chart: chart.name.encode())


@pytest.fixture(autouse=True)
def nothing_is_lost(request, caplog):
    """A part of a report that fails is told and left out; no test may pass because of it, unless it is about that."""
    yield
    if "loses" not in request.keywords:
        assert [record.getMessage() for record in caplog.records if record.name.startswith("jaxsoft.analysis")] == []


@pytest.fixture
def few_draws(monkeypatch):
    """Forty bootstrap draws in place of thousands, and a jackknife of four groups: for tests of what is told, not of how wide intervals are."""
    for function in (inference.counts, inference.resampled_means, inference.curves):
        monkeypatch.setattr(inspect.unwrap(function), "__defaults__", (40,))
    monkeypatch.setattr(structure, "GROUPS", 4)
    monkeypatch.setitem(inspect.unwrap(structure.jackknife).__kwdefaults__, "groups", 4)
    monkeypatch.setattr(variance, "DRAWS", 100)
    monkeypatch.setattr(inference, "CHOICES", 40)
    inference.counts.cache_clear()
    yield
    inference.counts.cache_clear()
