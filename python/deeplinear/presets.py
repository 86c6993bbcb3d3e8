"""`deeplinear.experiments.library` by the name that earlier versions gave it."""

import sys

from deeplinear.experiments import library

sys.modules[__name__] = library
