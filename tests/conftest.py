"""What all tests share: one thread, and the same random numbers in every run."""
from __future__ import annotations

import random

import numpy as np
import pytest
import torch

# The tensors are small, and on a busy machine several threads would mostly wait for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Seeds the global generators before each test, so that no test depends on those before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
