"""`deeplinear.experiments.figures` by the name that earlier versions gave it."""

import sys

from deeplinear.experiments import figures

sys.modules[__name__] = figures
