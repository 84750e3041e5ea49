"""What all tests share: as many threads as a small machine has, and the same random numbers in every run."""
from __future__ import annotations

import random

import numpy as np
import pytest
import torch

torch.set_num_threads(2)


@pytest.fixture(autouse=True)
def same_random_numbers():
    """Seeds the global generators before each test, so that no test depends on those before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)
