"""Random images of ImageNet at 64 pixels with soft labels, a ConvNet of depth 4: what trajectory matching was scaled to.

Claim     random real images with soft labels against the distilled sets that there are of all 1,000 classes at 64 pixels
Table     none of its own; 2 has the same network on TinyImageNet
Command   jaxsoft data prepare imagenet64 --source=DIR && jaxsoft run imagenet64
Expected  of distilled sets, test accuracy at IPC 1 and 50: 7.7 and 27.9, where all images give 33.8 (TESLA: Cui et al. 2023,
          "Scaling Up Dataset Distillation to ImageNet-1K with Constant Memory"). Of soft labels on random images no
          number is published. Not run here.
Departs   settings are those of TinyImageNet, whose epochs are an eighth as many for the images that they are of; not tuned.
          One subset for all seeds: five of them, with their label rows, are 41 GB on a TPU
Quick     `:quick`, digits and a small network, seconds; `:quick,data=imagenet64` a narrow net on 20 images a class
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for other images, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("imagenet64", arg, data="imagenet64", quick="digits", like="imagenet64")
    study.config.sweep.subset_seed = () if study.small else (0,)
    return study.soft_against_hard(study.ipc)
