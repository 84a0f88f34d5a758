"""Random CIFAR-10 images with soft labels: the paper's baseline with the settings of table 7, but for the experts' rate.

Claim     random real images with soft labels lie below distilled ones, and come within a point of DM at IPC 50
Table     2, last column
Command   jaxsoft data prepare cifar10 && jaxsoft run cifar10
Expected  test accuracy 21.1 (.5), 46.3 (.8), 62.1 (.5) at IPC 1, 10, 50; published, under the paper's protocol
          (`:protocol=paper`), which also selects on test. Hard labels: 14.4, 26.0, 43.4, and in later tables 15.4, 31.0,
          50.6. Measured at IPC 1 alone, with an expert of 54.3% (rate 5e-3, epoch 5) and n = 4 subsets, on two CPU
          cores: soft 19.2 and hard 17.0, in the paper's protocol 19.4 and 17.1; single subsets from 16.7 to 23.5.
Departs   experts at 5e-3, not 5e-4, for 100 epochs, named by the table's accuracies, not by its epochs 20, 44, 128, 164.
          At 5e-4 epochs 10 and 18 have 38.0 and 42.1% on validation, where the table has 56.0% at epoch 20; at 5e-3
          epochs 1 to 4 have 37.5, 42.8, 48.4, 53.3% (49,000 training images, two CPU cores, n = 1 expert). So rate times
          epochs counts, and by that rule the table's last expert, 76.5%, is near epoch 37 of 45,000 images: this was not run.
          A tenth of the training images is held out, and accuracies are of these, not of the test images.
Quick     `:quick` is a narrower net on fewer images; minutes on a laptop, numbers below the ones above
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:quick` or the full baseline; `:protocol=paper` selects on test, as the authors did."""
    return presets.baseline("cifar10", arg)
