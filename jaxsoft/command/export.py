"""What `jaxsoft export` does: one student of a run, chosen by its columns, written to a folder to take away."""

import functools
from collections.abc import Sequence

from jaxsoft import errors
from jaxsoft.command import arguments, starting

_COLUMNS = ("member", "ipc", "labels", "seed", "subset_seed", "select", "model", "steps", "learning_rate")
_COLUMNS += ("weight_decay", "without", "loss", "optimizer", "augment")


def exported(argv: Sequence[str]) -> str:
    """Export a student; says which, where to, and how large.

    Raises:
      ConfigError: the words do not fit, or no one student is meant. CheckpointError: what it learned from is gone.
    """
    columns, of_config = dict.fromkeys(_COLUMNS, ""), [word for word in argv if word.startswith("--config")]
    settings = arguments.settings(of_config)[0] if of_config else None
    argv = [word for word in argv if word not in of_config]
    words, given = arguments.parse(argv, to="", codec="float32", images=False, teach=False, **columns)
    folder, to = (arguments.folder(text, "jaxsoft export") for text in ((words or [""])[0], given["to"]))
    if folder is None or to is None or len(words) != 1:
        raise errors.ConfigError("expected: jaxsoft export RUN --to=FOLDER [--ipc=10 --labels=SPEC --seed=0 ...]")
    with starting.starting_jax():
        starting.set_up_jax(keep_programs=True)
        from jaxsoft import config
        from jaxsoft.console import Console
        from jaxsoft.experiment.export import choose
        from jaxsoft.experiment.store.folder import RunFolder
        from jaxsoft.experiment.tell import progress
        from jaxsoft.labels.given import specs_of
        from jaxsoft.results import Results

    if settings:
        RunFolder(folder).compare(config.as_dict(settings))
    results, console = Results.load(folder, given=specs_of(settings) if settings else ()), Console()
    member = choose.member(results.rows, {column: given[column] for column in columns}, folder)["member"]
    with console.stage("teachers"):
        told = functools.partial(progress.of_teachers, console)
        written = results.export(member, to, given["codec"], given["images"], given["teach"], told)
    row, shown = written.row, [f"{written.index_bytes:,} bytes of images, {written.label_bytes:,} of labels"]
    shown += [f"{written.bytes:,} in all; test accuracy {100 * row['test_accuracy']:.2f}%"]
    return (
        f"member {row['member']} (IPC {row['ipc']}, {row['labels']}, seed {row['seed']}) is in {to}: {', '.join(shown)}"
    )
