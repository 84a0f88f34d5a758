"""Benchmarks: each runs at its smallest size and keeps the contract of a row; the suite's log, tables and exit code."""

import ast
import importlib.util
import json
import os
import re
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import suite

from jaxsoft import target
from jaxsoft.training.ensemble import Bucket
from jaxsoft.training.recipe import Recipe

FOLDER = Path(__file__).parents[1] / "benchmarks"
CONTRACT = {
    "benchmark": str,
    "size": str,
    "what": dict,
    "unit": str,
    "median": float,
    "low": float,
    "high": float,
    "n": int,
    "device": str,
    "device_count": int,
    "versions": dict,
    "commit": (str, type(None)),
}
HAS_TORCH = importlib.util.find_spec("torch") is not None


def script(name):
    needs_torch = suite.NEEDS.get(name) == "torch" and not HAS_TORCH
    marks = pytest.mark.skipif(needs_torch, reason="torch is missing: pip install 'jaxsoft[bench]'")
    return pytest.param(name, marks=marks)


each_script = pytest.mark.parametrize("name", [script(name) for name in suite.names()])


def run(name, programs):
    command = [sys.executable, str(FOLDER / f"{name}.py"), "--size=toy", "--repeats=1"]
    environment = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(programs),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="module")
def outputs(kept_programs):
    """Two at a time."""
    pool = ThreadPoolExecutor(2)
    yield {
        name: pool.submit(run, name, kept_programs) for name in suite.names() if HAS_TORCH or name not in suite.NEEDS
    }
    pool.shutdown(cancel_futures=True)


@each_script
def test_it_runs_and_its_rows_keep_the_contract(name, outputs):
    done = outputs[name].result()
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert rows
    for row in rows:
        assert {key: row[key] for key, kind in CONTRACT.items() if not isinstance(row.get(key), kind)} == {}
        assert (row["benchmark"], row["size"]) == (name, "toy")
        assert row["low"] <= row["median"] <= row["high"] and row["n"] >= 1
    named = [json.dumps([row["what"], row["unit"]]) for row in rows]
    assert len(set(named)) == len(named), "two rows cannot be told apart"


def keys(value):
    if isinstance(value, dict):
        return sorted(value)
    return keys(value[0]) if isinstance(value, (tuple, list)) and value else type(value).__name__


@each_script
def test_every_size_has_the_settings_of_the_others(name):
    sizes = runpy.run_path(str(FOLDER / f"{name}.py"))["SIZES"]
    assert set(sizes) == {"toy", "cpu", "gpu"}
    assert keys(sizes["toy"]) == keys(sizes["gpu"]) == keys(sizes["cpu"])


@each_script
def test_the_docstring_says_the_command_and_the_readme_the_question(name):
    doc = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text())) or ""
    assert doc.splitlines()[0].endswith("?") and f"benchmarks/{name}.py" in doc
    assert f"| `{name}` | " in (FOLDER.parent / "docs" / "performance.md").read_text()


@pytest.fixture(scope="module")
def coverage():
    return runpy.run_path(str(FOLDER / "coverage.py"))


def test_coverage_of_every_statistic_is_measured_at_its_smallest_size(coverage):
    """Two tables of each: what is public has a line, and every trial an interval, or says how many had one."""
    cases = [*coverage["curves"](40), *coverage["choices"](40), *coverage["others"]()]
    first = {case.statistic: case for case in cases}
    lines = coverage["table"]([(case, coverage["measure"](case, 2)) for case in first.values()]).splitlines()
    assert len(lines) == 2 + len(first) and "| `coverage` | " in (FOLDER.parent / "docs" / "performance.md").read_text()
    assert all(re.fullmatch(r"\| .* \| \d+ \| (–|[\d.]+) \| (–|[\d.]+) \| ([012]|10) \|", line) for line in lines[2:])


def test_the_truth_of_a_choice_is_the_mean_of_what_a_report_shows(coverage):
    rng = np.random.default_rng(0)
    values = coverage["accuracies"](rng, truth=np.linspace(0.5, 0.52, 5), n=6)
    shown = coverage["accuracy"](rng, lambda _: values)
    assert coverage["chosen"](values).mean() == pytest.approx(shown.mean, abs=1e-12)


@pytest.fixture(scope="module")
def calibration():
    return runpy.run_path(str(FOLDER / "calibration.py"))


def test_a_floor_is_of_all_steps_of_all_members_and_of_the_chip(calibration):
    recipe = Recipe("convnet(depth=1, width=4)", 10, 40, 4, "sgd(momentum=0.9)", precision="bfloat16")
    one, twice = (Bucket(recipe, members, 2, steps, 4) for members, steps in ((4, 3), (8, 9)))
    floor = lambda bucket, chip: calibration["floor"](bucket, (8, 8, 3), chip)  # noqa: E731
    assert floor(twice, "h100") == pytest.approx(6 * floor(one, "h100"))
    assert 0 < floor(one, "h200") < floor(one, "h100") < floor(one, "a100")


@pytest.mark.parametrize(
    ("kind", "chip"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA GH200 480GB", ""),
        ("TPU v5 lite", "v5e"),
        ("cpu", ""),
    ],
)
def test_a_chip_is_known_by_what_jax_calls_it(calibration, kind, chip):
    assert calibration["chip_of"](kind) == chip


def test_what_plans_are_made_of_is_measured_first():
    assert suite.names()[0] == "calibration" and suite.names()[1:] == sorted(suite.names()[1:])


@pytest.mark.parametrize("chip", ["b200", "8xh100"])
def test_a_chip_that_is_unknown_costs_a_line(chip, capsys, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")  # compiled.py sets both
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    main = runpy.run_path(str(FOLDER / "compiled.py"))["main"]
    assert main([f"--chip={chip}"]) == 2
    assert capsys.readouterr().err == f"compiled: --chip expects some of {','.join(target.CHIPS)}; got {chip!r}\n"


def test_programs_of_other_compilers_and_torn_lines_are_compiled_again(monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    kept, log = runpy.run_path(str(FOLDER / "compiled.py"))["kept"], tmp_path / "h100.jsonl"
    assert kept(log, "now") == {}
    rows = [
        {"experiment": "topk", "what": "chunk", "key": "a", "predicted": 7, "memory": 5, "compiler": "now"},
        {"experiment": "topk", "what": "test", "key": "b", "memory": 5, "compiler": "before"},
        {"experiment": "topk", "what": "test", "key": "c", "error": "no", "compiler": "now"},
    ]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows) + json.dumps(rows[0] | {"key": "d"})[:-9])
    assert kept(log, "now") == {"a": {"key": "a", "memory": 5}}


def test_chips_without_a_table_of_their_own_stand_side_by_side(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    table = runpy.run_path(str(FOLDER / "compiled.py"))["side_by_side"]
    counts = {"steps": 10, "images": 1000, "kernels_in_steps": 25, "bytes": 3_000_000_000, "loops": 1}
    chunk = {"experiment": "topk", "what": "students: chunk", "memory": 5_000_000, "predicted": 6_000_000, **counts}
    wrong = {"experiment": "topk", "what": "students: test", "error": "no room"}
    lines = table({"h200": [chunk, wrong], "v4": [{**chunk, "loops": 0}]}).splitlines()
    told = "5 MB; 1.20x predicted; 2.5 kernels; 3 MB an image"
    assert lines[0] == "| program or experiment | h200 | v4 |"
    assert lines[2:] == [f"| `topk` | 1 of 2; {told}; 1 loops; students: test: no room | 1 of 1; {told} |"]


def test_flops_of_a_step_by_hand():
    flops = runpy.run_path(str(FOLDER / "roofline.py"))["flops"]
    first, second, last = 2 * 64 * 9 * 1 * 16, 2 * 16 * 9 * 16 * 16, 2 * 4 * 16 * 10
    assert flops(depth=2, width=16, side=8, channels=1, batch=5) == 5 * (2 * first + 3 * second + 3 * last)


ROW = {"what": {"IPC": 1}, "unit": "s", "device": "cpu", "device_count": 2, "versions": {"jax": "1"}, "commit": "abc"}
DOCUMENT = """# Results

## Speed

Words.

<!-- benchmark one cpu -->
old
<!-- end -->

<!-- benchmark one gpu -->
of another size
<!-- end -->

## After

More.
"""


def row(median, **changes):
    return {**ROW, "benchmark": "one", "median": median, "low": median - 1, "high": median + 1, "n": 5, **changes}


def test_a_table_is_replaced_and_the_rest_stays():
    written = suite.written(DOCUMENT, "one", "cpu", "new")
    assert written == DOCUMENT.replace("old", "new")
    assert suite.written(written, "one", "cpu", "new") == written


def test_a_new_table_is_put_at_the_end_of_its_section():
    written = suite.written(DOCUMENT, "two", "cpu", "new")
    block = "<!-- benchmark two cpu -->\nnew\n<!-- end -->\n"
    assert written == DOCUMENT.replace("\n## After", f"\n{block}\n## After")
    assert suite.written(written, "two", "cpu", "new") == written
    assert suite.written("# A\n\n## Speed\n\nWords.\n", "two", "cpu", "new") == f"# A\n\n## Speed\n\nWords.\n\n{block}"
    assert suite.written("# A\n", "two", "cpu", "new") == f"# A\n\n## Speed\n\n{block}"


def test_processes_are_pooled_row_by_row():
    other = row(100.0, what={"IPC": 2})
    pools = suite.pooled([[row(1.0), other], [row(5.0), other], [row(2.0), other]])
    found = [(p["what"]["IPC"], p["median"], p["low"], p["high"], p["n"]) for p in pools]
    assert found == [(1, 2.0, 1.0, 5.0, 3), (2, 100.0, 100.0, 100.0, 3)]
    assert suite.pooled([[row(1.0)]]) == [row(1.0)]


def test_a_table_says_what_where_and_with_what():
    lines = suite.table([row(1234.5), row(0.123456)]).splitlines()
    assert lines[2:4] == ["| IPC 1 | 1,234 s | [1,234, 1,236] | 5 |", "| IPC 1 | 0.1235 s | [-0.8765, 1.123] | 5 |"]
    assert lines[-1] == "2 x cpu; jax 1; commit abc"


SCRIPT = '"""Is it?"""\n\nimport measure\n\nif __name__ == "__main__":\n    '


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Benchmarks that print what they are told, log and docs beside them."""
    (tmp_path / "measure.py").write_text("# no script\n")
    monkeypatch.setattr(suite, "FOLDER", tmp_path)
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    monkeypatch.setattr(suite, "NEEDS", {"needy": "there_is_no_such_module"})
    monkeypatch.setattr(suite, "PROCESSES", {"one": {"toy": 2}})
    for name in ("one", "needy"):
        (tmp_path / f"{name}.py").write_text(f"{SCRIPT}print('for people')\n    print({json.dumps(row(1.5))!r})\n")
    (tmp_path / "docs.md").write_text(DOCUMENT)
    return tmp_path


def test_the_suite_goes_on_after_a_failure_and_says_so(folder, capfd):
    (folder / "broken.py").write_text(f"{SCRIPT}print({json.dumps(row(1.5))!r})\n    raise SystemExit(3)\n")
    assert suite.main(["--size=toy", f"--docs={folder / 'docs.md'}"]) == 1
    told = capfd.readouterr().out
    assert "broken: failed" in told and "failed: broken" in told and "for people" in told
    assert "needy: skipped, there_is_no_such_module is missing: pip install 'jaxsoft[bench]'\n" in told
    rows = (folder / "runs" / "benchmarks" / "toy.jsonl").read_text().splitlines()
    assert [json.loads(line)["benchmark"] for line in rows] == ["one", "one"]
    assert (
        "<!-- benchmark one toy -->\n**Is it?** `benchmarks/one.py --size=toy`\n\n| what |"
        in (folder / "docs.md").read_text()
    )
    assert "broken" not in (folder / "docs.md").read_text()


def test_the_suite_without_a_failure(folder):
    assert suite.main(["--size=toy", "--only=one,needy"]) == 0
    assert (folder / "docs.md").read_text() == DOCUMENT, "toy writes no docs unless a file is named"
