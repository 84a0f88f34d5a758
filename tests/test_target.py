"""What programs are for: devices that are here, or others."""

import jax
import pytest

from jaxsoft import errors, target


def test_it_is_the_devices_that_are_here_unless_told():
    assert target.current() == target.Target("cpu", jax.device_count())
    with target.aimed(target.Target("tpu", devices=4, memory=7)):
        assert (target.platform(), target.current().devices) == ("tpu", 4)
        with target.aimed(target.named("h200")):
            assert target.platform() == "gpu"
        assert target.platform() == "tpu"
    assert target.platform() == "cpu"


def test_a_chip_or_several_by_name():
    one, eight = target.named("v5e"), target.named("8xv5e")
    assert one == target.Target("tpu", 1, int(0.95 * 17_179_869_184), "v5e")
    assert eight == one._replace(devices=8)
    assert target.of(jax.devices()) == target.Target("cpu", jax.device_count())


@pytest.mark.parametrize("text", ["", "h300", "0xh200", "-1xh200", "twoxh200", "h200x8"])
def test_a_chip_that_is_not_known_is_refused_with_the_choices(text):
    with pytest.raises(errors.ConfigError, match="a100, h100, h200, v4, v5e, v6e"):
        target.named(text)
