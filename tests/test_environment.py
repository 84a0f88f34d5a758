"""Whatever a shell has set, a run ends with the same bytes, or is refused in one line before it begins.

The demo's quick form under thirty settings of JAX, XLA, Python, the locale, folders and the terminal.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxsoft import errors

CONFIG = Path(__file__).resolve().parents[1] / "configs" / "digits.py"
SAME = {
    "nothing": {},
    "random numbers, not partitionable": {"JAX_THREEFRY_PARTITIONABLE": "0"},
    "random numbers, offset": {"JAX_RANDOM_SEED_OFFSET": "7"},
    "random numbers, another generator": {"JAX_DEFAULT_PRNG_IMPL": "rbg"},
    "keys, old ones refused": {"JAX_LEGACY_PRNG_KEY": "error"},
    "64 bits": {"JAX_ENABLE_X64": "1"},
    "strict types": {"JAX_NUMPY_DTYPE_PROMOTION": "strict"},
    "strict ranks": {"JAX_NUMPY_RANK_PROMOTION": "raise"},
    "NaN checks": {"JAX_DEBUG_NANS": "1"},
    "infinity checks": {"JAX_DEBUG_INFS": "1"},
    "guarded transfers": {"JAX_TRANSFER_GUARD": "disallow"},
    "JAX's own checks": {"JAX_ENABLE_CHECKS": "1"},
    "leak checks": {"JAX_CHECK_TRACER_LEAKS": "1"},
    "compilations logged": {"JAX_LOG_COMPILES": "1"},
    "no cache of programs": {"JAX_ENABLE_COMPILATION_CACHE": "0"},
    "whole tracebacks": {"JAX_TRACEBACK_FILTERING": "off"},
    "programs dumped": {"XLA_FLAGS": "--xla_dump_to={tmp}/dump"},
    "locale C": {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "locale that is not there": {"LC_ALL": "xx_XX.UTF-8"},
    "ASCII output": {"PYTHONIOENCODING": "ascii"},
    "another hash seed": {"PYTHONHASHSEED": "4242"},
    "no home": {"HOME": "/nowhere/at/all"},
    "no temporary folder": {"TMPDIR": "/nowhere/at/all"},
    "a home with spaces": {"HOME": "{tmp}/zu Hause", "XDG_CACHE_HOME": ""},
    "figures for a notebook": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "figures for a screen": {"MPLBACKEND": "TkAgg", "DISPLAY": ""},
    "a style of one's own": {"MATPLOTLIBRC": "{tmp}/matplotlibrc"},
    "optimised Python": {"PYTHONOPTIMIZE": "2"},
    "a narrow, dumb terminal": {"TERM": "dumb", "COLUMNS": "20", "NO_COLOR": "1"},
    "a strict umask": {"UMASK": "0077"},
    "one thread": {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
}
REFUSED = {
    "a platform that is not there": ({"JAX_PLATFORMS": "cuda"}, "cuda"),
    "a platform that there is not": ({"JAX_PLATFORMS": "abacus"}, "abacus"),
    "no compilation": ({"JAX_DISABLE_JIT": "1"}, "JAX_DISABLE_JIT"),
    "no execution": ({"JAX_NO_EXECUTION": "1"}, "JAX_NO_EXECUTION"),
}
KEYED = {
    "other multiplications": ({"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"}, "JAX_DEFAULT_MATMUL_PRECISION"),
    "fast mathematics": ({"XLA_FLAGS": "--xla_cpu_enable_fast_math=true"}, "XLA_FLAGS"),
}

pytestmark = pytest.mark.long


def run(tmp, workdir, setting):
    """Exit code, table and what was said of the quick demo under a setting."""
    (tmp / "matplotlibrc").write_text("text.usetex: True\nbackend: nonsense\n")
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    given = {name: text.format(tmp=tmp) for name, text in setting.items()}
    mask = given.pop("UMASK", "")
    done = subprocess.run(
        [sys.executable, "-m", "jaxsoft", "run", f"--config={CONFIG}:quick", f"--workdir={workdir}"],
        env={"JAX_PLATFORMS": "cpu", **kept, **given}, stdin=subprocess.DEVNULL, capture_output=True, timeout=900,
        umask=int(mask, 8) if mask else -1,
    )  # fmt: skip
    table = workdir / "results.csv"
    return done.returncode, table.read_bytes() if table.exists() else b"", (done.stdout + done.stderr).decode()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The table under no setting."""
    tmp = tmp_path_factory.mktemp("plain")
    code, table, told = run(tmp, tmp / "run", {})
    assert code == 0, told
    return table


@pytest.mark.parametrize("name", SAME)
def test_the_table_is_the_same_to_the_byte(plain, tmp_path, name):
    code, table, told = run(tmp_path, tmp_path / "run", SAME[name])
    assert code == 0 and "Traceback" not in told, told
    assert table == plain
    assert (tmp_path / "run" / "report.html").exists() and (tmp_path / "run" / "manifest.json").exists()


@pytest.mark.parametrize("name", REFUSED)
def test_a_setting_under_which_nothing_runs_is_refused_in_one_line(tmp_path, name):
    setting, word = REFUSED[name]
    code, table, told = run(tmp_path, tmp_path / "run", setting)
    lines = [line for line in told.splitlines() if line.startswith("jaxsoft: ")]
    assert code == errors.ConfigError.exit_code and "Traceback" not in told, told
    assert len(lines) == 1 and word in lines[0]
    assert table == b""


@pytest.mark.parametrize("name", KEYED)
def test_a_setting_that_changes_numbers_changes_keys_and_cannot_go_on_with_others(plain, tmp_path, name):
    setting, word = KEYED[name]
    code, table, told = run(tmp_path, tmp_path / "run", setting)
    assert code == 0, told
    keys, others = ({line.split(b",")[0] for line in t.splitlines()[1:]} for t in (plain, table))
    assert len(keys) == len(others) and not keys & others
    code, _, told = run(tmp_path, tmp_path / "run", {})
    assert code == errors.CheckpointError.exit_code and word in told and "Traceback" not in told
