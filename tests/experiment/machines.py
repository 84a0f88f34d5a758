"""A run whose students are trained on a Ray cluster of this machine, which loses and gains machines; a script of the tests.

  python machines.py CONFIG WORKDIR WORKERS EVENTS

EVENTS is a JSON list of [rows, what]: once the log has so many rows, `kill` a worker, `add` a node of one worker, `remove`
the last one without grace, or `stop` the driver and start it again. On standard error it says what was done when, and with
which code each driver ended.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
from ray.cluster_utils import Cluster  # noqa: E402  as the nodes that it starts take these variables


def say(**record):
    print(json.dumps(record), file=sys.stderr, flush=True)


def workers():
    """The processes that train a wave, of nodes that this process has started."""
    parents, names = {}, {}
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        try:
            parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            names[int(entry)] = Path(f"/proc/{entry}/cmdline").read_text()
        except OSError:
            continue
    return [
        pid for pid, name in names.items() if name.startswith("ray::train") and os.getpid() in ancestors(pid, parents)
    ]


def ancestors(pid, parents):
    while pid in parents:
        pid = parents[pid]
        yield pid


def happen(what, cluster, driver, found):
    """Do one event; the driver that goes on."""
    if what == "kill":
        os.kill(found[0], signal.SIGKILL)
    if what == "add":
        cluster.add_node(num_cpus=1)
    if what == "remove":
        cluster.remove_node(list(cluster.worker_nodes)[-1], allow_graceful=False)
    if what == "stop":
        driver.send_signal(signal.SIGTERM)
        say(exit=driver.wait())
        driver = begun(cluster)
    return driver


def begun(cluster):
    flags = [f"--config={sys.argv[1]}", f"--workdir={sys.argv[2]}", "--engine=ray", f"--address={cluster.address}"]
    return subprocess.Popen([sys.executable, "-m", "jaxsoft", "run", *flags], stdin=subprocess.DEVNULL)


def rows():
    path = Path(sys.argv[2]) / "results.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def main():
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": int(sys.argv[3]), "include_dashboard": False})
    start = time.monotonic()
    driver = begun(cluster)
    try:
        for count, what in json.loads(sys.argv[4]):
            found = workers()
            while driver.poll() is None and (rows() < count or not found):
                time.sleep(0.05)
                found = workers()
            say(at=round(time.monotonic() - start, 1), rows=rows(), event=what, workers=len(found))
            driver = happen(what, cluster, driver, found)
        say(exit=driver.wait(), seconds=round(time.monotonic() - start, 1))
    finally:
        driver.kill()
        cluster.shutdown()


if __name__ == "__main__":
    main()
