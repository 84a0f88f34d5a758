"""What the tests of analysis share; its being here lets those in `questions/` import `synthetic`, too."""

import pytest

from jaxsoft.analysis import plots


@pytest.fixture
def no_drawing(monkeypatch):
    """Pictures have tests of their own; here they only cost time."""
    monkeypatch.setattr(plots, "png", lambda draw, *args: f"{draw.__name__}".encode())
