"""What do DD-Ranking's scores say of the same accuracies, as fractions and as its released code has them, in percent?

  python benchmarks/percent_scores.py FILE.npz NAME

NAME is an array of the file, [set, run, 4]: accuracies as fractions with all real images and hard labels, with the set and hard
labels, with the set and its labels, with random images and such labels. Means and population standard deviations over runs.
"""

import argparse

import numpy as np

from jaxsoft.analysis.statistics import scores


def main() -> None:
    """Tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE.npz")
    parser.add_argument("name", metavar="NAME")
    args = parser.parse_args()
    with np.load(args.file, allow_pickle=False) as file:
        print(table(file[args.name]))


def table(accuracies: np.ndarray) -> str:
    """A line each set."""
    lines = ["| set | HLR, points | IOR, points | LRS | LRS of percent |", "|---|---|---|---|---|"]
    for i, each in enumerate(np.moveaxis(accuracies, -1, 1), 1):
        own = scores.label_scores(*each)
        percent = scores.score(50 * own.ior - 50 * own.hlr)
        points = (scores.published(100 * value) for value in (own.hlr, own.ior))
        told = [f"{mean:.1f} ± {std:.1f}" for mean, std in points]
        told += ["{:.4f} ± {:.4f}".format(*scores.published(value)) for value in (own.lrs, percent)]
        lines.append(f"| {i} | {' | '.join(told)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
