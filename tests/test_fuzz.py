"""Altered bytes in everything that is read: an answer or one line, no execution, no hang, nothing else."""

import contextlib
import io
import json
import random
import signal
import sys

import numpy as np
import pytest
from PIL import Image

from jaxsoft import config, errors, spec
from jaxsoft.analysis.reading import curves, read
from jaxsoft.data import prepared, raw
from jaxsoft.data.formats import images
from jaxsoft.experiment.store import folder, manifest, results
from jaxsoft.labels.spec import LabelSpec

EACH, LONG = 150, 7_500  # mutations of each kind of input
SECONDS = 5
RUNNING = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class", "socket.connect"}
ROW = {"member": "ab12", "dataset": "digits", "fingerprint": "f", "model": "mlp", "seed": 0, "subset_seed": 0, "ipc": 1}
ROW |= {
    "labels": "hard",
    "learning_rate": 0.1,
    "weight_decay": 0.0,
    "steps": 3,
    "val_accuracy": 0.5,
    "test_accuracy": 0.25,
    "status": "done",
    "protocol": "sealed",
}
PLAN = {
    "experts": [{"expert": 0, "history": [{"epoch": 0, "val_accuracy": 0.5, "label_entropy": 2.3}]}],
    "resolved": {},
}


def text(content):
    return content.decode("utf-8", "surrogateescape").replace("\0", "")


def in_file(name, reader):
    """A reader of a file of this name in a folder."""

    def run(content, where):
        (where / name).write_bytes(content)
        reader(where / name)

    return run


def log(path):
    results.ResultsLog(path).close()
    results.read(path)


def png():
    file = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file, "PNG")
    return file.getvalue()


def table(tmp):
    results.write_csv([ROW], tmp / "results.csv")
    return (tmp / "results.csv").read_bytes()


def record(tmp):
    kept = results.ResultsLog(tmp / "log")
    kept.append([ROW, ROW | {"member": "cd34"}])
    kept.close()
    return (tmp / "log").read_bytes()


def examples(_):
    file = io.BytesIO()
    images, labels, rows = np.zeros((2, 4, 4, 1), np.uint8), np.zeros(2, np.int32), np.full((3, 2, 2), 0.5, np.float32)
    epochs, names = np.arange(3, dtype=np.int32), np.array(["a", "b"])
    np.savez(file, images=images, labels=labels, epochs=epochs, probabilities=rows, class_names=names)
    return file.getvalue()


def curves_file(_):
    file, numbers = io.BytesIO(), np.full((2, 3), 0.5, np.float32)
    np.savez(
        file, member=np.array(["a", "b"]), step=np.ones((2, 3), np.int32), train_loss=numbers, val_accuracy=numbers
    )
    return file.getvalue()


def data_set(tmp):
    """A prepared dataset beside; the content of its manifest."""
    labels = np.array([0, 1] * 4, np.int32)
    part = raw.Part(labels, list(range(8)), lambda i: np.full((4, 4, 1), i, np.uint8))
    prepared.write(raw.Raw(("a", "b"), part, part, "here", "free"), tmp, "tiny")
    return (tmp / prepared.MANIFEST).read_bytes()


KINDS = {  # name -> (one whole content, its reader)
    "label spec": (lambda _: b"teachers(3, pool=logits, epoch=20)|temperature(2)|topk(10)", lambda c, _: LabelSpec.parse(text(c))),
    "model spec": (lambda _: b"convnet(depth=3, width=128, norm='instance')", lambda c, _: spec.parse_one(text(c))),
    "override": (
        lambda _: b"sweep.labels=('hard', teacher(epoch=2)|topk(3)),learned",
        lambda c, _: config.read_with({}, [("config." + text(c).partition("=")[0], text(c).partition("=")[2])]),
    ),
    "number": (lambda _: b"(1, 0x10, 1_000, 25)", lambda c, _: config.read_with({}, [("config.sweep.ipc", text(c))])),
    "argument": (lambda _: b"quick,data=cifar10,seeds=3", lambda c, _: config.parse_arg(text(c), quick=False, data="", seeds=0)),
    "config.json": (
        lambda _: json.dumps(config.as_dict(config.Settings())).encode(),
        in_file("config.json", lambda path: folder.RunFolder(path.parent).open(config.as_dict(config.Settings())).close()),
    ),
    "manifest.json": (
        lambda tmp: (results.write_csv([ROW], tmp / "a"), manifest.write(folder.RunFolder(tmp)),
                     (tmp / "manifest.json").read_bytes())[2],
        in_file("manifest.json", lambda path: manifest.verify(path.parent)),
    ),
    "results.csv": (table, in_file("results.csv", read.read_results)),
    "results.jsonl": (record, in_file("results.jsonl", log)),
    "teachers.json": (lambda _: json.dumps(PLAN).encode(), in_file("teachers.json", read.read_teachers)),
    "examples.npz": (examples, in_file("examples.npz", read.read_examples)),
    "curves.npz": (curves_file, in_file("curves.npz", lambda path: curves.read_curves(path.parent, ["a"]))),
    "prepared manifest": (data_set, in_file(prepared.MANIFEST, lambda path: prepared.read(path.parent, "tiny"))),
    "prepared labels": (
        lambda tmp: (data_set(tmp), (tmp / "train_labels.npy").read_bytes())[1],
        in_file("train_labels.npy", lambda path: prepared.read(path.parent, "tiny")),
    ),
    "image": (lambda _: png(), lambda c, _: images.decode(c, "a.png", 4)),
}  # fmt: skip


def altered(draw, content):
    """One to four changes: a bit, a byte, a piece left out, doubled, moved, or put in."""
    content = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at, length = draw.randrange(len(content) + 1), draw.choice((1, 1, 4, 40))
        piece = bytes(content[at : at + length])
        kind = draw.randrange(6)
        if kind == 0 and piece:
            content[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            content[at : at + 1] = bytes(
                [draw.choice((0, 10, 13, 27, 34, 39, 40, 44, 91, 123, 255, draw.randrange(256)))]
            )
        elif kind == 2:
            del content[at : at + length]
        elif kind == 3:
            content[at:at] = piece * draw.choice((1, 2, 500))
        elif kind == 4:
            content[at:at] = draw.choice(
                (b"1e999", b"-1", b"9" * 5000, b"NaN", b"null", b"__import__('os')", b"(" * 300)
            )
        else:
            del content[at:]
    return bytes(content)


@contextlib.contextmanager
def guarded():
    """Nothing is executed, and nothing lasts: the names of what was executed, which must stay empty."""
    seen, active = [], [True]

    def hear(event, arguments):
        if active and event in RUNNING:
            seen.append((event, arguments))

    def end(*_):
        raise AssertionError(f"it takes more than {SECONDS} s")

    sys.addaudithook(hear)
    before = signal.signal(signal.SIGALRM, end)
    try:
        yield seen
    finally:
        active.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("count", [EACH, pytest.param(LONG, marks=pytest.mark.long)])
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of decoders
def test_altered_bytes_give_an_answer_or_one_line(name, count, tmp_path, caplog):
    make, reader = KINDS[name]
    whole, draw, refused = make(tmp_path), random.Random(f"{name} {count}"), 0
    reader(whole, tmp_path)
    with guarded() as executed:
        for _ in range(count):
            content = altered(draw, whole)
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            try:
                reader(content, tmp_path)
            except errors.JaxsoftError as problem:
                refused += 1
                assert str(problem), content
            except Exception as problem:
                raise AssertionError(f"{type(problem).__name__}: {problem!s:.200} from {content[:2000]!r}") from problem
            signal.setitimer(signal.ITIMER_REAL, 0)
            assert not executed, (executed, content)
            caplog.clear()
    assert refused > count / 50 or name == "results.jsonl"  # which sets aside what is altered
