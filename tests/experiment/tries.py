"""Tries at one run, each in a process that is killed or stopped at a named moment; a script of the tests.

  python tries.py CONFIG WORKDIR TRIES [FLAGS]

TRIES is a JSON list of [place, turn, harm]. This process loads the libraries, which is most of a tiny run, and forks
for every try before JAX has started. On standard error it says with which exit code each ended, and when.
"""

import functools
import json
import os
import signal
import sys
import time

import jax

from jaxsoft import main
from jaxsoft.analysis import report
from jaxsoft.experiment import console, results, run, store
from jaxsoft.training import ensemble

PLACES = {
    "save": (store.Checkpoints, "save"),
    "chunk": (ensemble.Program, "chunk"),
    "progress": (console.Console, "progress"),
    "append": (results.ResultsLog, "append"),
    "csv": (results, "write_csv"),
    "report": (report, "write_report"),
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
            say(signal=time.monotonic())
            os.kill(os.getpid(), signal.SIGTERM)
            while not args[0].stop:  # until the console has heard of it
                time.sleep(0.01)
        return result

    setattr(owner, name, patched)


if __name__ == "__main__":
    config, workdir, tries, *others = sys.argv[1:]
    # A process that is gone is missed sooner than it would be.
    jax.distributed.initialize = functools.partial(jax.distributed.initialize, heartbeat_timeout_seconds=10)
    for place, turn, harm in json.loads(tries):
        if not os.fork():
            prepare(place, turn, harm)
            sys.argv[1:] = ["run", f"--config={config}", f"--workdir={workdir}", *others]
            main.entry()
        say(exit=os.waitstatus_to_exitcode(os.wait()[1]), end=time.monotonic())
