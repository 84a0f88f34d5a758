"""Do labels carry over to clips: true classes, one soft label of each clip, or soft labels of its views?

Claim     as of images: soft labels beat true classes, and labels of the views that students see beat one of each clip
Figure    what one soft label and labels of views gain over true classes, by budget
Source    the three regimes of "A Large-Scale Study on Video Action Dataset Condensation" (2024), arXiv 2412.21197
Command   jaxsoft run clips
Expected  Video-DC: how clips are labelled matters greatly. Its tables are of UCF101 and larger sets, which have no settings here.
Departs   clips are real ones, drawn at random; 8 frames of 8x8; students of one architecture
Time      2.0 min on moving_digits: of processor time, an AMD EPYC, experts included
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets

VIEWS = 20  # of each clip, labelled once each and seen in turn; the boxes are those of all its frames


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, also of images; `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("clips", arg, data="moving_digits")
    sources, views = [study.teacher(epoch) for epoch in study.stages], 4 if study.quick else VIEWS
    cut = [f"{source[:-1]}, views={views})" for source in sources]
    alone = f"{sources[1][:-1]}, views={views}, mix=none)"
    return study.sweep({"ipc": study.ipc, "labels": ("hard", *sources, *cut, alone)})
