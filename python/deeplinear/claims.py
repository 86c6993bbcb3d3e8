"""`deeplinear.experiments.claims` by the name that earlier versions gave it."""

import sys

from deeplinear.experiments import claims

sys.modules[__name__] = claims
