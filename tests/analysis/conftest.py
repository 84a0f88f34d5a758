"""What the tests of analysis share; its being here lets those in `questions/` import `synthetic`, too."""

import inspect

import pytest

from jaxsoft.analysis import budget, exchange, frontier, joint, plots, predict, scaling, stats, variance


@pytest.fixture
def no_drawing(monkeypatch):
    """Pictures have tests of their own; here they only cost time."""
    monkeypatch.setattr(plots, "png", lambda draw, *args: f"{draw.__name__}".encode())


@pytest.fixture(autouse=True)
def nothing_is_lost(request, caplog):
    """A part of a report that fails is told and left out; no test may pass because of it, unless it is about that."""
    yield
    if "loses" not in request.keywords:
        assert [record.getMessage() for record in caplog.records if record.name.startswith("jaxsoft.analysis")] == []


@pytest.fixture
def few_draws(monkeypatch):
    """Forty bootstrap draws in place of thousands: for tests of what is told, not of how wide intervals are."""
    for module in (stats, budget, exchange, frontier, joint, predict):
        for function in vars(module).values():
            inner = (
                inspect.unwrap(function) if inspect.isfunction(function) or hasattr(function, "cache_clear") else None
            )
            if defaults := getattr(inner, "__defaults__", None):
                few = tuple(40 if value == stats.RESAMPLES else value for value in defaults)
                monkeypatch.setattr(inner, "__defaults__", few)
    monkeypatch.setattr(variance, "DRAWS", 100)
    for module in (stats, scaling):
        monkeypatch.setattr(module, "RESAMPLES", 40)
    _forget()
    yield
    _forget()


def _forget():
    for name in ("bootstrap_counts", "_estimate"):
        getattr(stats, name).cache_clear()
