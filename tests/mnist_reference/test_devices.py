import pytest
import torch

from mnist_reference.devices import DEVICE_NAMES, device_by_name
from mnist_reference.errors import DeviceError


def present_devices():
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, is_present in present.items() if is_present] + ["cpu"]


@pytest.mark.parametrize("name", DEVICE_NAMES[1:])
def test_device_is_given_or_its_absence_explained(name):
    if name in present_devices():
        assert device_by_name(name).type == name
    else:
        with pytest.raises(DeviceError, match=f"no {name} device"):
            device_by_name(name)


def test_auto_takes_the_first_that_is_there():
    assert device_by_name("auto").type == present_devices()[0]
