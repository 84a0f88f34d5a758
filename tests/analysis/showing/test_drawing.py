"""Figures hold the numbers that they should; looks are for eyes."""

import io
import math
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import synthetic
import tables
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from PIL import Image

from jaxsoft.analysis import findings, overview, teachers
from jaxsoft.analysis.reading import read
from jaxsoft.analysis.showing import drawing
from jaxsoft.analysis.showing.chart import ORANGE, Chart, Heat, Level, Panel, Range, Series, Upright
from jaxsoft.analysis.statistics import groups
from jaxsoft.analysis.statistics.inference import NOTHING, Estimate

CHART = Chart("odd", [Panel([Series("$x_1$", [1, 5], [0.5, Estimate(0.7, 0.1, 0.6, 0.8, 3)])])], "caption")


@pytest.fixture(scope="module")
def found():
    (group,) = groups.groups(groups.tidy(synthetic.rows(seeds=4, ipcs=(1, 5, 20), epochs=(5, 20, 80))))
    return findings.findings(group)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    synthetic.write_run(folder, [synthetic.row(1, "hard", 0, 0.5)])
    return read.read_run(folder).examples


def axes(chart):
    """The axes of a chart as drawn, and its figure."""
    figure = drawing._draw(chart)
    return figure.axes, figure


def chart(sections, name):
    """A chart of this name among sections that are not drawn yet."""
    return next(b for s in sections for b in s.blocks if isinstance(b, Chart) and b.name == name)


def overview_chart(found, name):
    return chart([section for _, make in overview.sections(found, "", True) for section in make()], name)


def test_accuracy_curves_are_the_means_with_hard_labels_in_black(found):
    (own,), figure = axes(overview_chart(found, "accuracy"))
    lines = {line.get_label(): line for line in own.get_lines()}
    assert set(lines) == {"hard", "teacher(epoch=5)", "teacher(epoch=20)", "teacher(epoch=80)"}
    for labels, line in lines.items():
        means = [100 * found.group.accuracy(ipc, found.group.of(labels)).mean for ipc in (1, 5, 20)]
        np.testing.assert_allclose(line.get_xdata(), [1, 5, 20])
        np.testing.assert_allclose(line.get_ydata(), means)
    assert to_hex(lines["hard"].get_color()) == "#000000"
    assert len({to_hex(line.get_color()) for line in lines.values()}) == 4
    assert len(own.collections) == 4  # a band each
    assert own.get_xscale() == "log"
    assert [t.get_text() for t in figure.legends[0].get_texts()] == list(lines)
    assert figure.get_suptitle() == "mean of 4 seeds; bands: 95 % intervals"


def test_differences_show_means_and_intervals(found):
    (own,), _ = axes(overview_chart(found, "difference"))
    assert len(own.containers) == 3
    for container, c in zip(own.containers, found.choices):
        points, _, bars = container
        assert points.get_ydata()[0] == pytest.approx(100 * c.difference.mean)
        (segment,) = bars[0].get_segments()
        np.testing.assert_allclose(segment[:, 1], [100 * c.difference.low, 100 * c.difference.high])


def test_map_frames_the_best_epoch_of_each_budget_and_writes_the_points(found):
    (one,) = findings.frontiers(found.group)
    (own, bar), _ = axes(overview_chart(found, "frontier"))
    frames = [p for p in own.patches if isinstance(p, Rectangle)]
    framed = {round(f.get_x() + 0.47): round(f.get_y() + 0.47) for f in frames}
    epochs = one.difference.index.tolist()
    assert framed == {column: epochs.index(epoch) for column, epoch in enumerate(one.best.values())}
    np.testing.assert_allclose(own.images[0].get_array(), 100 * one.difference)
    low, high = own.images[0].get_clim()
    assert low == -high and bar.get_ylabel() == "soft minus hard, test points"
    texts = [t.get_text() for t in own.texts]
    assert texts[0] == f"{100 * one.difference.iat[0, 0]:+.1f}".replace("-", "−") and len(texts) == 9


def taught(history, choices=()):
    run = read.Run(Path(), [], {}, {}, {}, {}, {"experts": [{"history": h} for h in history]}, None)
    return axes(chart(teachers.sections(run, choices), "teacher"))[0]


def test_teacher_panels_hold_accuracy_and_entropy_and_the_chosen_epochs(found):
    history = [{"epoch": e, "val_accuracy": 0.1 * e, "label_entropy": 2.0 - e / 2} for e in range(3)]
    top, bottom = taught([history, history[:2]], [c._replace(epoch=1) for c in found.choices])
    np.testing.assert_allclose(top.get_lines()[0].get_ydata(), [0, 10, 20])
    np.testing.assert_allclose(bottom.get_lines()[0].get_ydata(), [2, 1.5, 1])
    assert len(top.get_lines()) == 2 + 1 and [t.get_text() for t in bottom.texts] == ["IPC 1, 5, 20"]


def test_teacher_panels_do_without_a_missing_value():
    top, bottom = taught([[{"epoch": 0, "val_accuracy": None}, {"epoch": 1, "val_accuracy": 0.3}]])
    np.testing.assert_allclose(top.get_lines()[0].get_ydata(), [30])
    assert len(bottom.get_lines()) == 0


def labels(examples):
    run = read.Run(Path(), [], {}, {}, {}, {}, {}, examples)
    return axes(chart(teachers.sections(run, []), "labels"))[0]


def test_label_bars_are_the_probabilities_with_the_true_class_in_orange(examples):
    pictures, *columns = labels(examples)
    assert len(pictures.artists) == 5 and len(columns) == 4
    middles = np.array([bar.get_y() + bar.get_height() / 2 for bar in columns[0].patches]).reshape(5, 5).mean(1)
    np.testing.assert_allclose([box.xy[1] for box in pictures.artists], middles)
    assert all(own.get_ylim() == pictures.get_ylim() for own in columns)
    shown = [t.get_text() for t in columns[0].get_yticklabels()]
    for p, own in enumerate(columns):
        assert len(own.patches) == 25
        for i, bar in enumerate(own.patches):
            n, k = i // 5, int(shown[i])
            assert bar.get_width() == pytest.approx(100 * examples.probabilities[p, n, k])
            assert (to_hex(bar.get_facecolor()) == ORANGE) == (k == examples.labels[n])


def test_colour_images_and_two_classes(examples):
    images, names = np.repeat(examples.images[:2], 3, -1), ("a cat", "a very long name")
    probabilities = np.ascontiguousarray(examples.probabilities[:, :2, :2])
    few = read.Examples(images, np.array([0, 1], np.int32), examples.epochs, probabilities, names)
    assert [t.get_text() for t in labels(few)[1].get_yticklabels()] == ["a cat", "a very lon…"] * 2


def test_every_mark_is_drawn_whatever_is_missing_of_it():
    nan, values = Estimate(math.nan, math.nan, math.nan, math.nan, 0), np.array([[0.1, math.nan], [0.3, 0.2]])
    marks = [Series("", [1, 2, 5], [NOTHING, nan, 0.5], look) for look in ("bars", "band", "columns", "steps")]
    marks += [Level(0.5, "half"), Upright(2, "here"), Range(1, 5), lambda own: own.plot([1, 5], [0, 1])]
    heat = Heat(values, "ab", "xy", "gain, points", diverging=True, texts=[["+1", "–"]] * 2, frames=[(0, 1)],
                dots=[(0, 0), (1, 1)], levels=(15.0,))  # fmt: skip
    panels = [Panel(marks), Panel([heat]), Panel(marks, names=("a", "b" * 99), log=False, from_zero=True)]
    assert drawing.png(Chart("all", panels, "caption")).startswith(b"\x89PNG")


def test_counts_of_all_units_are_told_and_hidden_ends_of_intervals_do_not_break_bars():
    lines = [Series("a", [0, 1], [Estimate(0.5, 0.1, 0.6, 0.7, 4), Estimate(0.5, 0.1, 0.3, 0.4, 6)])]
    _, figure = axes(Chart("n", [Panel(lines, names=("x", "y"))], "caption", units="subsets"))
    assert figure.get_suptitle() == "mean of 4 to 6 subsets; bars: 95 % intervals"


def test_png_is_an_image_and_the_same_each_time():
    content = drawing.png(CHART)
    assert content == drawing.png(CHART)
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG" and image.size[0] == round(drawing._WIDTH * 200)


def test_vector_files_are_the_same_each_time_and_in_each_process():
    files = [drawing.drawn(CHART, form) for form in ("svg", "pdf")]
    assert files[0].startswith(b"<?xml") and files[1].startswith(b"%PDF")
    code = (
        "import sys; from jaxsoft.analysis.showing import drawing; from jaxsoft.analysis.showing.chart import *;"
        "line = Series('$x_1$', [1, 5], [0.5, Estimate(0.7, 0.1, 0.6, 0.8, 3)]);"
        "chart = Chart('odd', [Panel([line])], 'caption');"
        "sys.stdout.buffer.write(drawing.drawn(chart, 'svg') + drawing.drawn(chart, 'pdf'))"
    )
    assert python(code, PYTHONHASHSEED="1") == b"".join(files)


@pytest.mark.parametrize("name", [name for name in tables.NASTY if name.isprintable() and 0 < len(name) < 100])
def test_an_svg_holds_any_name_as_text(name):
    marks = [Series(name, [0], [0.5]), Series("other", [0], [0.4])]
    content = drawing.drawn(Chart("nasty", [Panel(marks, name, name, name)], name), "svg")
    found = ElementTree.fromstring(content)
    assert not [tag for tag in found.iter() if str(tag.tag).endswith("script")]


@pytest.mark.parametrize("name", [name for name in tables.NASTY if name])
def test_a_figure_shows_any_name_as_text(name):
    marks = [Series(name, [0], [0.5], texts=[name]), Series("other", [0], [0.4]), Upright(0.0, name), Level(0.1, name)]
    panel = Panel(marks, name, name, name, names=[name])
    assert drawing.png(Chart("nasty", [panel], name, name, name)).startswith(b"\x89PNG")


def test_an_axis_of_bytes_names_them_in_units_that_fit():
    axis = drawing.Figure().subplots().xaxis
    axis.axes.set(xscale="log", xlim=(1, 1e6))
    axis.set_major_formatter(drawing.Bytes())
    assert axis.get_major_formatter()(1000.0) == "1.0 kB"
    drawing._measured_axis(axis.axes, [800, 4000, 44_785_500], False, 1.0)
    assert [label.get_text() for label in axis.get_ticklabels()] == ["800 B", "4.0 kB", "44.8 MB"]


@pytest.mark.loses
def test_a_figure_that_cannot_be_drawn_leaves_a_note_in_its_place(caplog):
    def fail(_):
        raise ValueError("\x1b[2J")

    assert drawing.png(Chart("odd", [Panel([fail])], "caption")).startswith(b"\x89PNG")
    assert "the figure odd could not be drawn: ValueError: \\x1b[2J" in caplog.text


def python(code, **environment):
    """What a process of its own writes: settings are read when matplotlib is imported."""
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, capture_output=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    "settings",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "nonsense"},
        {"MATPLOTLIBRC": "text.usetex: True\nfont.family: none\nfigure.dpi: 9\n"},
        {"MATPLOTLIBRC": "\udcff\udcfe: 1\n"},
    ],
    ids=["notebook", "unknown backend", "usetex", "not text"],
)
def test_figures_are_the_same_under_any_settings(tmp_path, settings):
    (tmp_path / "matplotlibrc").write_bytes(settings.get("MATPLOTLIBRC", "").encode(errors="surrogateescape"))
    code = "from jaxsoft.analysis.showing import drawing as d; import sys; sys.stdout.buffer.write(d._saved(d._missing, '$x_1$', 'png'))"
    found = python(code, **settings | {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc")})
    assert found == drawing._saved(drawing._missing, "$x_1$", "png")


def test_drawing_leaves_no_trace_in_matplotlib():
    python(
        "import matplotlib, sys; before = matplotlib.rcParams.copy(); from jaxsoft.analysis.showing import drawing;"
        "drawing._saved(drawing._missing, 'x', 'png'); assert 'matplotlib.pyplot' not in sys.modules;"
        "assert matplotlib.rcParams.copy() == before"
    )
