"""What keeps training and kernels out of `make check`."""

from __future__ import annotations

import subprocess
import sys

import pytest


def take_a_step():
    import torch

    weight = torch.nn.Parameter(torch.ones(1))
    weight.grad = torch.ones(1)
    torch.optim.SGD([weight], lr=0.5).step()
    return weight.item()


def test_a_test_without_the_marker_that_trains_fails_and_is_told_so():
    with pytest.raises(pytest.fail.Exception, match=r"trains a network: it needs @pytest\.mark\.trains"):
        take_a_step()


@pytest.mark.trains
def test_with_the_marker_it_may():
    assert take_a_step() == 0.5


@pytest.mark.parametrize("command", ["ipykernel_launcher", "seo_core.run book", "pytest --nbval notebooks"])
def test_a_test_without_the_marker_that_starts_a_kernel_fails_and_is_told_so(command):
    with pytest.raises(pytest.fail.Exception, match=r"it needs @pytest\.mark\.kernel"):
        subprocess.run([sys.executable, "-m", *command.split()], check=True)


def test_other_processes_may_start():
    subprocess.run([sys.executable, "-m", "seo_core.run", "book", "--help"], check=True, capture_output=True)


def test_what_uses_a_fixture_that_trains_gets_the_marker(trains, request):
    assert request.node.get_closest_marker("trains")
