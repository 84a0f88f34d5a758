"""The least time of programs, against arithmetic by hand."""

import numpy as np
import pytest

from jaxsoft.target import Chip
from jaxsoft.training import floors
from jaxsoft.training.fusion import Account, Kernel

GPU = Chip("gpu", 0, bandwidth=1e12, peak=1e14)


def test_a_kernel_takes_the_time_of_its_bytes_or_of_its_operations_and_its_start():
    program = Account((Kernel("products", 2, 1_000_000, 1e9), Kernel("maps", 1, 3_000_000, 0)), peak=0)
    found = floors.seconds(program, GPU, "bfloat16")
    assert found == pytest.approx({"images": 0, "products": 2e-5, "maps": 3e-6, "update": 0, "launches": 7.5e-6})
    slower = floors.seconds(program, GPU, "float32")
    assert slower == pytest.approx(found | {"products": 14 * 2e-5})
    assert floors.seconds(program, GPU._replace(platform="tpu"), "bfloat16")["launches"] == 0


def test_bytes_hide_behind_more_operations_and_the_other_way_round():
    few, many = (Account((Kernel("products", 1, 1_000_000, flops),), 0) for flops in (1e7, 1e9))
    assert floors.seconds(few, GPU, "bfloat16")["products"] == pytest.approx(1e-6)
    assert floors.seconds(many, GPU, "bfloat16")["products"] == pytest.approx(1e-5)


def test_time_is_operations_over_a_share_of_the_measured_peak(monkeypatch):
    assert floors.matmul_flops_per_second() > 1e8
    monkeypatch.setattr(floors, "matmul_flops_per_second", lambda: 1e9)
    np.testing.assert_allclose(floors.estimated_seconds(1e9), 1 / floors._SHARE_OF_PEAK)
