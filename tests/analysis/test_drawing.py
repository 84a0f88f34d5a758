"""Figures hold the numbers that they should; looks are for eyes."""

import io
import subprocess
import sys

import numpy as np
import pytest
import synthetic
from jaxsoft.analysis.stats import summarize
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle
from PIL import Image

from jaxsoft.analysis import frontier, plots, read


@pytest.fixture(scope="module")
def rows():
    return synthetic.rows(seeds=4, ipcs=(1, 5, 20), epochs=(5, 20, 80))


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    synthetic.write_run(folder, [synthetic.row(1, "hard", 0, 0.5)])
    return read.read_run(folder).examples


def test_accuracy_curves_are_the_means_with_hard_labels_in_black(rows):
    axes = plots.accuracy_curves(rows).axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert set(lines) == {"hard", "teacher(epoch=5)", "teacher(epoch=20)", "teacher(epoch=80)"}
    for labels, line in lines.items():
        cells = [c for c in summarize(rows) if c.labels == labels]
        np.testing.assert_allclose(line.get_xdata(), [1, 5, 20])
        np.testing.assert_allclose(line.get_ydata(), [100 * c.test.mean for c in cells])
    assert to_hex(lines["hard"].get_color()) == "#000000"
    assert len({to_hex(line.get_color()) for line in lines.values()}) == 4
    assert len(axes.collections) == 4  # a band each
    assert axes.get_xscale() == "log"
    assert axes.get_title(loc="left") == "mean of 4 seeds; bands: 95 % intervals"


def test_many_epochs_share_a_colour_bar():
    rows = synthetic.rows(seeds=2, ipcs=(1, 5), epochs=range(1, 30, 3))
    figure = plots.accuracy_curves(rows)
    assert len(figure.axes) == 2
    assert [t.get_text() for t in figure.axes[1].get_yticklabels()] == [str(e) for e in range(1, 30, 3)]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["hard"]


def test_differences_show_means_and_intervals(rows):
    choices = frontier.choose(rows)
    axes = plots.differences(choices).axes[0]
    for container, c in zip(axes.containers, choices):
        points, _, bars = container
        assert points.get_ydata()[0] == pytest.approx(100 * c.difference.mean)
        (segment,) = bars[0].get_segments()
        np.testing.assert_allclose(segment[:, 1], [100 * c.difference.low, 100 * c.difference.high])
    assert len(axes.containers) == 3


def test_map_frames_the_best_epoch_of_each_budget_and_writes_the_points(rows):
    (found,) = frontier.frontiers(rows)
    axes = plots.frontier_map(found).axes[0]
    frames = [p for p in axes.patches if isinstance(p, Rectangle)]
    assert [(round(f.get_x() + 0.47), round(f.get_y() + 0.47)) for f in frames] == list(enumerate(found.best))
    np.testing.assert_allclose(axes.images[0].get_array(), 100 * found.difference)
    low, high = axes.images[0].get_clim()
    assert low == -high
    texts = [t.get_text() for t in axes.texts]
    assert texts[0] == f"{100 * found.difference[0, 0]:+.1f}".replace("-", "−")
    assert len(texts) == 9


def test_teacher_panels_hold_accuracy_and_entropy():
    history = [
        {"epoch": e, "train_loss": None, "val_accuracy": 0.1 * e, "label_entropy": 2.0 - e / 2} for e in range(3)
    ]
    figure = plots.teacher_history([history, history[:2]], {1: "IPC 5"})
    top, bottom = figure.axes
    assert len([line for line in top.get_lines() if len(line.get_xdata()) != 2 or line.get_xdata()[0] != 1]) == 2
    np.testing.assert_allclose(top.get_lines()[0].get_ydata(), [0, 10, 20])
    np.testing.assert_allclose(bottom.get_lines()[0].get_ydata(), [2, 1.5, 1])
    assert [t.get_text() for t in bottom.texts] == ["IPC 5"]


def test_teacher_panels_do_without_a_missing_value():
    history = [{"epoch": 0, "val_accuracy": None}, {"epoch": 1, "val_accuracy": 0.3}]
    top, bottom = plots.teacher_history([history], {}).axes
    np.testing.assert_allclose(top.get_lines()[0].get_ydata(), [30])
    assert len(bottom.get_lines()) == 0


def test_label_bars_are_the_probabilities_with_the_true_class_in_orange(examples):
    figure = plots.label_bars(examples)
    pictures, *columns = figure.axes
    assert len(pictures.images) == 5
    assert len(columns) == 4
    shown = [t.get_text() for t in columns[0].get_yticklabels()]
    for p, axes in enumerate(columns):
        assert len(axes.patches) == 25
        for i, bar in enumerate(axes.patches):
            n, k = i // 5, int(shown[i])
            assert bar.get_width() == pytest.approx(100 * examples.probabilities[p, n, k])
            assert (to_hex(bar.get_facecolor()) == plots.ORANGE) == (k == examples.labels[n])


def test_colour_images_and_two_classes(examples):
    images = np.repeat(examples.images[:2], 3, -1)
    probabilities = np.ascontiguousarray(examples.probabilities[:, :2, :2])
    few = read.Examples(
        images, np.array([0, 1], np.int32), examples.epochs, probabilities, ("a cat", "a very long name")
    )
    figure = plots.label_bars(few)
    assert [t.get_text() for t in figure.axes[1].get_yticklabels()] == ["a cat", "a very lon…"] * 2


def test_png_is_an_image_and_the_same_each_time(rows):
    content = plots.png(plots.accuracy_curves, rows)
    assert content == plots.png(plots.accuracy_curves, rows)
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        assert image.size[0] == round(plots.WIDTH * 200)


def test_plots_leave_no_trace_in_matplotlib():
    code = (
        "import matplotlib, sys; before = matplotlib.rcParams.copy();"
        "from jaxsoft.analysis import plots; from matplotlib.figure import Figure;"
        "plots.png(lambda: Figure());"
        "assert 'matplotlib.pyplot' not in sys.modules; assert matplotlib.rcParams.copy() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
