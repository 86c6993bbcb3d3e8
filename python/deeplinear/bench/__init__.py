"""``deeplinear bench``: the package beside what an expert would otherwise write, on this machine.

`problems` says on what, `baselines` with what, `ours` how this package does it, `works` what is set
side by side; `runner` times, `machine` measures the limits, `table` prints.
"""
