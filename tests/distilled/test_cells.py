"""Which cells a comparison has, and what a user's word for a set means."""

import pytest

from jaxsoft import errors
from jaxsoft.distilled.comparing import cells, lookup
from jaxsoft.distilled.comparing.cells import Compared
from jaxsoft.distilled.kept import KIND
from jaxsoft.labels import codecs

SOFT = Compared("mtt", "distilled(mtt)", "distilled(mtt)", ipc=10, label_bytes=40, classes=10, data="digits")
HARD = Compared("dm", "distilled(dm)", ipc=5, classes=10, data="digits")
REAL = Compared("k_centers", "k_centers")
TEACHERS = ("teacher(epoch=1)", "teacher(epoch=2)")


def test_every_set_has_six_kinds_of_cells_and_meets_no_labels_of_another():
    found = cells.cells([SOFT, HARD], (5,), TEACHERS)
    assert found == [
        *((way, labels, 5) for way in ("distilled(mtt)", "random") for labels in ("distilled(mtt)", "hard", *TEACHERS)),
        *(("distilled(dm)", labels, 5) for labels in ("hard", *TEACHERS)),
    ]


def test_budgets_are_those_of_the_sets_unless_they_are_asked_for():
    budgets = lambda sets, ipcs: {(way, ipc) for way, labels, ipc in cells.cells(sets, ipcs, ()) if labels == "hard"}  # noqa: E731
    assert budgets([SOFT, HARD], ()) == {("distilled(mtt)", 10), ("random", 10), ("distilled(dm)", 5), ("random", 5)}
    assert budgets([SOFT, REAL], ()) == {("distilled(mtt)", 10), ("random", 10), ("k_centers", 10)}
    assert ("distilled(dm)", 10) not in budgets([SOFT, HARD], (1, 10)) and ("distilled(dm)", 1) in budgets(
        [HARD], (1, 10)
    )
    with pytest.raises(errors.ConfigError, match=r"^ipc: the set 'dm' has 5 images of each class; .*, got 10\+20$"):
        cells.cells([HARD], (10, 20), ())


@pytest.mark.parametrize(
    ("taken", "codec"),
    [(40, "float32"), (39, "float16"), (20, "float16"), (12, "int8"), (11, "int4"), (6, "top2:int4"), (2, "")],
)
def test_labels_of_equal_bits_are_the_most_exact_that_fit(taken, codec):
    texts = [
        labels
        for way, labels, _ in cells.cells([SOFT._replace(label_bytes=taken)], (5,), TEACHERS[:1], "equal")
        if way == "random"
    ]
    assert texts[2:] == ([f"teacher(epoch=1)|stored('{codec}')"] if codec else [])
    assert not codec or codecs.row_bytes(codec, 10) <= taken


def test_no_soft_label_is_as_small_as_a_class():
    assert {labels for _, labels, _ in cells.cells([HARD, REAL], (5,), TEACHERS, "equal")} == {"hard"}


def test_what_cannot_be_compared_is_one_line():
    for sets, bits, told in (
        ([], "any", "expects at least one set"),
        ([REAL], "same", "bits expects one of any, equal"),
    ):
        with pytest.raises(errors.ConfigError, match=told):
            cells.cells(sets, (5,), TEACHERS, bits)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXSOFT_SETS", str(tmp_path / "sets"))
    record = {"data": {"name": "digits"}, "class_names": ["a", "b"], "image_shape": [2, 2, 1], "ipc": 3, "images": 6}
    KIND.keep(KIND.place("hard-1.0"), record | {"kind": "hard"}, {})
    KIND.keep(KIND.place("soft"), record | {"kind": "logits", "bytes": {"labels": 24}}, {})
    return tmp_path / "sets"


def test_a_word_is_an_imported_set_or_a_way_to_select(home):
    assert lookup.find("hard-1.0") == Compared("hard-1.0", "distilled('hard-1.0')", "", 3, 0, 2, "digits")
    soft = Compared("soft", "distilled(soft)", "distilled(soft)", 3, 4, 2, "digits")
    assert lookup.find("soft") == lookup.find("distilled('soft')") == soft
    assert lookup.find(str(home / "soft"))[:1] == ("soft",)
    (home / "soft").rename(home / "2022")
    assert lookup.find("2022")[:2] == ("2022", "distilled('2022')")
    assert lookup.find("decile(i=0)") == Compared("decile(i=0)", "decile(i=0)")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sotf", "there is no set 'sotf' in .*; those there: hard-1.0, soft$"),
        ("random", "^random images are what every set is compared with"),
        ("kcenters(3)", "^unknown way to select 'kcenters'; closest: k_centers"),
        ("k_centers)", "cannot read spec"),
    ],
)
def test_another_word_is_refused(home, text, told):
    with pytest.raises(errors.ConfigError, match=told):
        lookup.find(text)


def test_an_export_is_refused_with_the_command_that_imports_it(home):
    (home / "mine").mkdir()
    (home / "mine" / "export.json").write_text("{}")
    with pytest.raises(errors.ConfigError, match=r"import it first: jaxsoft import \S+/mine --as=mine$"):
        lookup.find(str(home / "mine"))
