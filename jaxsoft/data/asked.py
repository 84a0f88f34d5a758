"""A dataset that a user names: where it lies, how far it is prepared, and what is refused of it."""

import os
import re
import shlex
import tempfile
from pathlib import Path

from jaxsoft import errors, imports, types
from jaxsoft.config import values
from jaxsoft.data import prepared, sets
from jaxsoft.data.encoded import Encoded
from jaxsoft.data.formats import images
from jaxsoft.data.sets import tfds

_TFDS_NAME = rf"[\w-]+(/\w[\w.+-]*)*(:{tfds.VERSION})?"  # set, config, version


class Asked:
    """A dataset that a user asked for, once its name and side are known to make sense."""

    def __init__(self, name: str, root: str | Path | None, resize: int | None):
        stem, colon, argument = name.partition(":")
        self.argument = re.sub(f"/({tfds.VERSION})$", r":\1", argument) if stem == "tfds" else argument
        self.name, self.resize, self.root = stem + colon + self.argument, resize, root_folder(root)
        self.folder = self.root / (re.sub(r"[:/]", "-", self.name) + (f"-{resize}px" if resize else ""))
        known = sets.published()
        if is_function(name):
            raise errors.ConfigError(f"{name} names a function: there is nothing to prepare or to verify")
        if stem not in known:
            folder = f"; a folder of images: jaxsoft data prepare image_folder --source={shlex.quote(name)}"
            hint = folder if name and Path(name).exists() else ""
            raise errors.ConfigError(errors.unknown("dataset", name, known, "jaxsoft data list") + hint)
        if (stem == "tfds") != bool(re.fullmatch(_TFDS_NAME, self.argument)) or bool(colon) != bool(argument):
            example = "only tfds takes a name after a colon, as tfds:mnist or tfds:mnist:3.0.1"
            raise errors.ConfigError(f"cannot read dataset {self.name!r}; {example}")
        self.known = known[stem]
        if resize is not None and (self.known.side or not 1 <= resize <= images.MAX_SIDE):
            published = f"images of {self.name} are {self.known.side} pixels wide as published"
            rule = published if self.known.side else f"it expects int >= 1 and <= {images.MAX_SIDE}"
            raise errors.ConfigError(f"resize={resize} cannot be: {rule}")

    def kept(self, found: Path) -> prepared.Kept:
        """How images stay in the files that were found; ConfigError if they cannot, or their side is not given."""
        if self.known.stored is None:
            able = [name for name, one in sets.published().items() if one.stored]
            raise errors.ConfigError(
                f"encoded=True cannot be: {self.name} is decoded once; {', '.join(able)} can be kept"
            )
        if not self.resize:
            raise errors.ConfigError("encoded=True expects resize, the side in pixels that networks see, such as 224")
        return prepared.Kept(self.known.stored(found), self.resize)

    def _with_images(self, whole: prepared.Prepared) -> prepared.Prepared:
        """The dataset with images, where it holds entries of files."""
        if not (shown := whole.manifest.encoded):
            return whole
        assert self.known.stored is not None
        stored, origin = self.known.stored(Path(whole.manifest.origin)), whole.manifest.origin

        def images_of(name: str, split: types.Split) -> types.Split:
            index = self.folder / f"{name}_images.npy"
            return types.Split(Encoded(index, stored, shown["side"], origin), split.labels)

        return whole._replace(train=images_of("train", whole.train), test=images_of("test", whole.test))

    def files(self, where: Path) -> str:
        """What is to be placed in a folder, and where it comes from."""
        what = self.known.files.format(argument=self.argument, root=shlex.quote(str(where)))
        return f"{what} (from {self.known.source})"

    def _sides(self) -> list[str]:
        """The sides with which this set is prepared."""
        stem = self.folder.name.removesuffix(f"-{self.resize}px")
        found = (path.parent.name[len(stem) + 1 : -2] for path in self.root.glob(f"{stem}-*px/{prepared.MANIFEST}"))
        return sorted(filter(str.isdecimal, found), key=int)

    def open(self) -> prepared.Prepared:
        """The whole dataset; one that is not prepared is refused with the command that prepares it."""
        state = state_of(self.known, self.folder, self.root, self.argument)
        command = f"run: jaxsoft data prepare {self.name} --root {shlex.quote(str(self.root))}"
        command += f" --resize {self.resize}" * bool(self.resize)
        if origin := prepared.origin(self.folder):
            command += f" --source {shlex.quote(origin)}"
        command += " --encoded" * bool(prepared.glimpse(self.folder).get("encoded"))
        if state == "built in":
            return prepared.hold(self.known.read(self.folder, self.resize), self.name)
        if state == "prepared":
            return self._with_images(prepared.read(self.folder, self.name, command))
        if sides := self._sides():
            ask = f"ask for that (--resize={sides[0]}, in a run --config.data.resize={sides[0]})"
            there = f"is prepared in {self.root} with resize={' and '.join(sides)}"
            raise errors.DataError(f"{self.name} {there}, not {self.resize or 'without'}; {ask}, or {command}")
        refusal = {
            "half prepared": f"is only half prepared in {self.root}; {command}",
            "files found": f"is not prepared in {self.root} (its files are there); {command}",
            "absent": f"not found in {self.root}; {command}, after placing there {self.files(self.root)}",
        }
        stays = "; or add --source=DIR, and --encoded to leave them in their files"
        raise errors.DataError(f"{self.name} {refusal[state]}{stays * bool(self.known.stored and self.resize)}")


def is_function(name: str) -> bool:
    """Whether a name is the path of a user's function."""
    return imports.is_outside(name) and name.partition(":")[0] not in sets.published()


def root_folder(root: str | Path | None = None) -> Path:
    """The folder of prepared sets; a machine without a home folder keeps them with its temporary files."""
    if root or os.environ.get("JAXSOFT_DATA"):
        return Path(values.path(str(root or os.environ["JAXSOFT_DATA"]), "root" if root else "JAXSOFT_DATA"))
    home = Path(os.path.expanduser("~"))
    return home / ".cache" / "jaxsoft" / "data" if home.is_dir() else Path(tempfile.gettempdir()) / "jaxsoft" / "data"


def state_of(known: sets.Published, folder: Path, root: Path, argument: str) -> str:
    """How far a dataset is; the words of `available`."""
    if not known.files:
        return "built in"
    if (folder / prepared.MANIFEST).exists():
        return "prepared"
    if any(folder.glob("*.npy*")):
        return "half prepared"
    return "files found" if known.find(root, argument) else "absent"
