"""`deeplinear.experiments.run` by the name that earlier versions gave it."""

import sys

from deeplinear.experiments import run

sys.modules[__name__] = run
