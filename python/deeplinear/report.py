"""`deeplinear.experiments.report` by the name that earlier versions gave it."""

import sys

from deeplinear.experiments import report

sys.modules[__name__] = report
