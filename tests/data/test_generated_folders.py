"""Two hundred image folders as nobody would make them: every file is prepared, or counted and named, or refused by name."""

import collections
import io
import os
import random
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxsoft import data, errors
from jaxsoft.data.sets import image_folder

KINDS = {  # kind: modes that it can hold, and an ending of its own
    "PNG": (("RGB", "L", "P", "RGBA", "LA"), ".png"),
    "JPEG": (("RGB", "L", "CMYK"), ".jpe"),
    "WEBP": (("RGB", "RGBA"), ".webp"),
    "BMP": (("RGB", "L"), ".bmp"),
    "GIF": (("P",), ".gif"),
    "TIFF": (("RGB", "L", "RGBA", "CMYK"), ".tif"),
    "PPM": (("RGB", "L"), ".pgm"),
    "TGA": (("RGB", "RGBA"), ".tga"),
    "JPEG2000": (("RGB", "L"), ".jp2"),
    "QOI": (("RGB", "RGBA"), ".qoi"),
}
CLASSES = ("cat", "dog", "image_folder2", "10", "9", "ü 犬", "a\nb", "\x1b[31mred", "caf\udce9", "Cat", "CON", "no.png")
TRAIN, TEST = ("train", "Train", "TRAIN", "training"), ("test", "Testing", "val", "VALID", "validation")
INNER = ("", "", "", "images", "a/b/c", "x y")
NEAR = 6  # how far a lossy file may be from the colour that was painted


@dataclass
class Folder:
    """What was made: the colour of every image file that can be read, and the files that cannot."""

    root: Path
    draw: random.Random
    colours: dict[Path, np.ndarray] = field(default_factory=dict)
    damaged: set[Path] = field(default_factory=set)
    clutter: set[Path] = field(default_factory=set)
    side: int = 5

    def path(self, folder, ending, inner=None):
        """A new file, whose number makes its name like no other."""
        number = len(self.colours) + len(self.damaged) + len(self.clutter)
        inner = folder / (self.draw.choice(INNER) if inner is None else inner)
        inner.mkdir(parents=True, exist_ok=True)
        return inner / f"f{number:03}_{self.draw.choice(('', 'é', 'x y', chr(27), chr(0xDCFF)))}{ending}"


def ending(folder, kind):
    """Mostly the kind's own, in any case."""
    chosen = KINDS[kind][1] if folder.draw.random() < 0.8 else folder.draw.choice([own for _, own in KINDS.values()])
    return folder.draw.choice((chosen, chosen.upper(), chosen.title()))


def colour(folder, mode):
    """A colour that is far from all others of the folder, and how it is painted: with alpha it shows white behind."""
    while True:
        painted = np.array([folder.draw.randrange(256) for _ in range(3)], float)
        painted[:] = painted[0] if mode in ("L", "LA") else painted
        alpha = folder.draw.choice((255, 200, 128)) if mode in ("RGBA", "LA") else 255
        seen = painted * alpha / 255 + 255 - alpha
        if all(np.abs(seen - other).max() > 2 * NEAR for other in folder.colours.values()):
            return painted.astype(np.uint8), alpha, seen


def image(folder, where, inner=None):
    """One image of one colour, in a random format and mode."""
    kind = folder.draw.choice(list(KINDS))
    mode = folder.draw.choice(KINDS[kind][0])
    painted, alpha, seen = colour(folder, mode)
    sides = folder.draw.choice(((folder.side,) * 2,) * 30 + ((3, 8),))
    picture = Image.fromarray(np.broadcast_to(painted, (*sides, 3)).copy())
    if alpha < 255 or mode in ("RGBA", "LA"):
        picture.putalpha(alpha)
    content = io.BytesIO()
    picture.convert(mode, palette=Image.Palette.ADAPTIVE).save(
        content, kind, **({"lossless": True} if kind == "WEBP" else {})
    )
    path = folder.path(where, ending(folder, kind), inner)
    path.write_bytes(content.getvalue())
    folder.colours[path] = seen


def damage(folder, where):
    """A file that looks like an image and is none."""
    path = folder.path(where, folder.draw.choice((".png", ".JPG", ".webp", ".tif")))
    how = folder.draw.choice(("cut", "empty", "noise", "deep", "pipe", "device", "gone"))
    buffer = io.BytesIO()
    deep = how == "deep"
    Image.fromarray(
        np.full((5, 5), 40_000, np.uint16) if deep else np.arange(75, dtype=np.uint8).reshape(5, 5, 3)
    ).save(buffer, "PNG")
    match how:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "gone":
            path.symlink_to("nowhere")
        case _:
            whole = buffer.getvalue()
            content = {"cut": whole[:45], "empty": b"", "noise": folder.draw.randbytes(60), "deep": whole}[how]
            path.write_bytes(content)
    folder.damaged.add(path)


def clutter(folder, where):
    """A file that is no image to be read."""
    name = folder.draw.choice(("t.txt", "t.heic", "", "t.npy", ".png", "t.db"))
    place = where / folder.draw.choice(("", "", "__MACOSX", "@eaDir", ".ipynb_checkpoints", ".git/x"))
    place.mkdir(parents=True, exist_ok=True)
    path = folder.path(place, "")
    path = path.with_name(name + path.name if name.startswith(".") else path.name + name)
    path.write_bytes(b"x")
    folder.clutter.add(path)


def filled(folder, tree, names, most=6):
    for name in names:
        (tree / name).mkdir(parents=True, exist_ok=True)
        for _ in range(folder.draw.randrange(most + 1)):
            image(folder, tree / name)
        for make in (damage, clutter):
            if folder.draw.random() < 0.15:
                make(folder, tree / name)


def made(root, seed):
    """A random folder of images."""
    draw = random.Random(seed)
    folder = Folder(root, draw)
    names = draw.sample(CLASSES, draw.randrange(1, 6))
    layout = draw.choice(("plain", "plain", "split", "split", "unlabelled", "flat", "set"))
    tree = root / draw.choice(TRAIN) if layout in ("split", "unlabelled") else root
    filled(folder, tree / "set" / "train" if layout == "set" else tree, names)
    if layout == "split":
        filled(folder, root / draw.choice(TEST), draw.sample(names, draw.randrange(1, len(names) + 1)), 3)
    if layout in ("unlabelled", "flat"):
        where = root / draw.choice(("test", "val")) / draw.choice(("", "images"))
        for _ in range(3):
            image(folder, where, inner="")
    if layout == "set":
        filled(folder, tree / "set" / "test", names, 2)
    for make, share in ((clutter, 0.5), (image, 0.2)):
        if draw.random() < share:
            make(folder, root)
    (root / "nothing" / "inside").mkdir(parents=True)
    if draw.random() < 0.3:
        (root / "nothing" / "circle").symlink_to(root)
    return folder


def mended(folder, refusal):
    """Take away what a refusal names as damaged; whether that was all of it, and nothing sound."""
    named = {path for path in folder.damaged if errors.shown(path.name) in refusal}
    assert not [path for path in folder.colours if errors.shown(path.name) + " cannot be read" in refusal], refusal
    for path in named:
        path.unlink()
    folder.damaged -= named
    return named


def prepared(folder, out, tally):
    """Prepare as a user would: remove what is named as damaged, resize where sizes differ; what is said, or None."""
    resize = None
    while True:
        said = []
        try:
            data.prepare("image_folder", out, folder.root, resize=resize, say=said.append)
            return said, data.load("image_folder", out, validation=0.0, resize=resize)
        except errors.JaxsoftError as refusal:
            text = str(refusal)
            assert text.isprintable()
        if " cannot be read" in text:
            tally["damaged, named"] += len(named := mended(folder, text))
            assert named
        elif "differ in size" in text:
            tally["resized"] += 1
            resize = 4
        elif "with one image cannot be split" in text or "are not among" in text:
            tally["classes filled up"] += 1
            fill_up(folder, text)
        else:
            tally["refusals"] += 1
            unnamed = [p for p in folder.colours if errors.shown(p.name) not in text and not told(folder, p, text)]
            assert not unnamed, (text, unnamed)
            return None


def fill_up(folder, refusal):
    """One more train image for each class that a refusal names."""
    trees = [folder.root / name for name in TRAIN if (folder.root / name).is_dir()] or [folder.root]
    (listed,) = re.findall(r"train and test: (.*); add|train folder: (.*)", refusal)
    known = {*CLASSES, *(path.name for path in trees[0].iterdir())}
    names = {name for name in known if errors.shown(name) in "".join(listed).split(", ")}
    assert names
    for name in sorted(names):
        image(folder, trees[0] / name)


def told(folder, path, text):
    """Whether a refusal names a folder that the image lies in."""
    return any(errors.shown(part) in text for part in path.relative_to(folder.root).parts[:-1])


def used(folder, loaded):
    """The files whose colours are in the prepared set, each in the class of one of its folders."""
    files = list(folder.colours)
    colours = np.array([folder.colours[path] for path in files])
    found = []
    for split in (loaded.train, loaded.test):
        for pixels, label in zip(split.images.astype(float), split.labels):
            distances = np.abs(colours - pixels.mean((0, 1))).max(1)
            path = files[int(distances.argmin())]
            assert distances.min() <= NEAR and np.ptp(pixels, (0, 1)).max() <= NEAR, path
            assert loaded.class_names[label] in [errors.shown(part) for part in path.parts]
            found.append(path)
    assert len(found) == len(set(found))
    return set(found)


def check(root, seed, tally):
    """One folder: what is not prepared is named as left out, and the counts add up."""
    folder = made(root / "own", seed)
    tally["folders"] += 1
    tally["damaged"] += len(folder.damaged)
    tally["other files"] += len(folder.clutter)
    outcome = prepared(folder, root / "out", tally)
    tally["images"] += len(folder.colours)
    if outcome is None:
        tally["images of refused folders, named"] += len(folder.colours)
        tally["damaged in refused folders"] += len(folder.damaged)
        return
    said, loaded = outcome
    read = used(folder, loaded)
    lines = [line for line in said if line.startswith("left out: ")]
    rest = (folder.colours.keys() - read) | folder.clutter | folder.damaged
    for path in rest:
        assert any(errors.shown(os.path.relpath(path, folder.root)) in line for line in lines), (path, lines)
    of_files = [line for line in lines if not line.startswith(("left out: folders ", "left out: linked folders "))]
    counts = [int(re.findall(r": (\d+)[ ,]", line)[0]) for line in of_files]
    assert sum(counts) == len(rest), (lines, rest)
    tally["prepared folders"] += 1
    tally["images read"] += len(read)
    tally["images left out, named"] += len(folder.colours) - len(read)
    tally["other and damaged files left out, named"] += len(folder.clutter) + len(folder.damaged)


def campaign(tmp_path, monkeypatch, seeds):
    monkeypatch.setattr(image_folder, "_NAMES", 1000)  # all names, for the check; a user sees the first five
    tally = collections.Counter()
    for seed in seeds:
        check(tmp_path / str(seed), seed, tally)
    print(dict(tally))
    return tally


def test_forty_folders(tmp_path, monkeypatch):
    tally = campaign(tmp_path, monkeypatch, range(40))
    assert tally["prepared folders"] > 15 and tally["refusals"] > 3 and tally["damaged, named"] > 10


@pytest.mark.long
def test_two_hundred_folders(tmp_path, monkeypatch):
    tally = campaign(tmp_path, monkeypatch, range(200))
    assert tally["prepared folders"] > 80 and tally["refusals"] > 15 and tally["damaged, named"] > 50
