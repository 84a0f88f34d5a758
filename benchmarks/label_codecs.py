"""How many bytes does a label need? What students reach whose labels are stored in fewer bytes.

  python benchmarks/label_codecs.py [--ipc=10] [--epoch=20] [--seeds=10] [--steps=400]

Digits with three pooled experts of one epoch, trained as in the demo. For every codec of `jaxsoft export`: the bytes of
all labels, the mean KL(stored || whole) over the train split, and the accuracy on test of students trained with
what the codec gives back, beside the same seeds with float32. An index of images alone gives those very labels too, once
experts are taught again.
"""

import argparse

import jax
import numpy as np
from scipy.special import rel_entr

import jaxsoft
from jaxsoft import Labels, Student, Sweep, Teacher
from jaxsoft.analysis.statistics.inference import Estimate, estimate
from jaxsoft.command import starting
from jaxsoft.experiment.machine.commit import commit
from jaxsoft.labels import codecs

CODECS = ("float32", "float16", "int8", "int4", "top3:float16", "top3:int8", "top3:int4", "top1:int8")
NET = "convnet(depth=2, width=16)"


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ipc", type=int, default=10, help="images per class")
    parser.add_argument("--epoch", type=int, default=20, help="of the experts")
    parser.add_argument("--seeds", type=int, default=10, help="students of each codec, each with its own subset")
    parser.add_argument("--steps", type=int, default=400, help="of a student's training")
    args = parser.parse_args()
    starting.set_up_jax(keep_programs=True)
    data = jaxsoft.load("digits", validation=0.2)
    experts = jaxsoft.teach(data, Teacher(model=NET, experts=3, epochs=args.epoch, batch=64, learning_rate=0.05))
    whole = experts.label(data.train.images, f"teachers(3, epoch={args.epoch})")
    coded = {codec: codecs.encode(whole, codec) for codec in CODECS}
    decoded = {codec: codecs.decode(arrays) for codec, arrays in coded.items()}
    reached = trained(data, experts, decoded, args)
    images = args.ipc * data.num_classes
    print(f"| labels | bytes of {images} labels | divergence, nats | test, % | minus float32, points | n |")
    print("|---|---|---|---|---|---|")
    index = f"none: {4 * images} bytes of indices, experts taught again", 0, 0.0
    line(*index, reached["float32"], reached["float32"])
    for codec in CODECS:
        lost = rel_entr(decoded[codec].astype(float), whole.astype(float)).sum(1).mean()
        line(
            f"`{codec}`", codecs.bytes_of(coded[codec]) * images // len(whole), lost, reached[codec], reached["float32"]
        )
    line("true classes, 1 byte each", images, None, reached["hard"], reached["float32"])
    print(f"\n{jax.device_count()} x {jax.devices()[0].device_kind}; jax {jax.__version__}; commit {commit()}")


def trained(
    data: jaxsoft.Dataset, experts: jaxsoft.Experts, rows: dict[str, np.ndarray], args: argparse.Namespace
) -> dict[str, np.ndarray]:
    """Test accuracies, by codec and for hard labels, of each seed, in %."""
    how = {"optimizer": "adamw", "schedule": "cosine", "learning_rate": 2e-3, "weight_decay": 0.01}
    student = Student(model=NET, batch=50, steps=args.steps, **how)
    labels = {
        "hard": "hard",
        **{codec: Labels.from_array(own, name=f"c{i}") for i, (codec, own) in enumerate(rows.items())},
    }
    sweep = Sweep(ipc=(args.ipc,), labels=tuple(labels.values()), seed=tuple(range(args.seeds)))
    found = jaxsoft.train_students(data, experts, student, sweep, keep="none")
    table = np.array([row["test_accuracy"] for row in found]).reshape(len(labels), args.seeds)
    return dict(zip(labels, 100 * table))


def line(name: str, size: int, lost: float | None, own: np.ndarray, beside: np.ndarray) -> None:
    """One row of the table."""
    score, gain = estimate(own), estimate(own - beside)
    told = "" if lost is None else f"{lost:.1g}"
    change = "" if own is beside else shown(gain, "+")
    print(f"| {name} | {size:,} | {told} | {shown(score)} | {change} | {score.n} |", flush=True)


def shown(value: Estimate, sign: str = "") -> str:
    return f"{value.mean:{sign}.1f} [{value.low:{sign}.1f}, {value.high:{sign}.1f}]"


if __name__ == "__main__":
    main()
