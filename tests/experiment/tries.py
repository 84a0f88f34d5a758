"""Tries at one run, each in a process that is killed or stopped at a named moment; a script of the tests.

  python tries.py CONFIG WORKDIR TRIES [COORDINATOR]

TRIES is a JSON list of [place, turn, harm]. This process loads the libraries, which is most of a tiny run, and forks
for every try before JAX has started. On standard error it says with which exit code each ended, and after how many
seconds of work. With a
coordinator's address the tries are the processes of one run, all at once; what each says goes to WORKDIR.0, WORKDIR.1.
"""

import functools
import json
import os
import signal
import sys
import time

import jax
import sklearn.datasets  # noqa: F401  digits are there

from jaxsoft import console, main, sources
from jaxsoft.analysis import report
from jaxsoft.analysis.showing import drawing
from jaxsoft.experiment import run
from jaxsoft.experiment.store import checkpoints as store
from jaxsoft.experiment.store import results
from jaxsoft.training import ensemble

PLACES = {
    "save": (store.Checkpoints, "save"),
    "chunk": (ensemble.Program, "chunk"),
    "learn": (ensemble.Program, "learn"),
    "progress": (console.Console, "progress"),
    "append": (results.ResultsLog, "append"),
    "csv": (results, "write_csv"),
    "report": (report, "write_report"),
    "data": (run, "load"),
    "labels": (run, "prepare"),
    "manifest": (run, "close"),
}


def say(**record):
    print(json.dumps(record), file=sys.stderr, flush=True)


def prepare(place, turn, harm):
    """Let the `turn`-th call of a place kill the process, before or after it, or ask it to stop."""
    owner, name = PLACES[place]
    whole, turns = getattr(owner, name), iter(range(1, 1000))

    @functools.wraps(whole)
    def patched(*args, **kwargs):
        mine = next(turns) == turn
        if mine and harm == "kill before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = whole(*args, **kwargs)
        if mine and harm == "kill after":
            os.kill(os.getpid(), signal.SIGKILL)
        if mine and harm == "stop":
            say(signal=time.process_time())
            os.kill(os.getpid(), signal.SIGTERM)
            while not getattr(args[0], "stop", False):  # until the console has heard of it, or the process has ended
                time.sleep(0.01)
        return result

    setattr(owner, name, patched)


if __name__ == "__main__":
    config, workdir, tries, *coordinator = sys.argv[1:]
    tries, running = json.loads(tries), []
    sources.engine_digest()  # each would make its own
    drawing.png = lambda chart: chart.name.encode()  # pictures have tests of their own
    # A process that is gone is missed sooner than it would be.
    jax.distributed.initialize = functools.partial(jax.distributed.initialize, heartbeat_timeout_seconds=10)
    for i, (place, turn, harm) in enumerate(tries):
        running.append(os.fork())
        if not running[-1]:
            prepare(place, turn, harm)
            sys.argv[1:] = ["run", f"--config={config}", f"--workdir={workdir}"]
            if coordinator:
                sys.argv += [f"--process={i}/{len(tries)}", f"--coordinator={coordinator[0]}"]
                told = os.open(f"{workdir}.{i}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
                os.dup2(told, 1), os.dup2(told, 2)
            main.entry()
        if i == len(tries) - 1 or not coordinator:
            for child in running:
                _, status, used = os.wait4(child, 0)
                say(exit=os.waitstatus_to_exitcode(status), end=used.ru_utime + used.ru_stime)
            running.clear()
