"""The work on blocks, which writes down each that it has trained: what storms are held against."""

from __future__ import annotations

import os

from deeplinear.store.work import work as uncounted


def work(path, index, *arguments):
    worked = uncounted(path, index, *arguments)
    if worked.runs:
        with open(f"{path}.executions", "a") as log:  # one short line is written whole
            log.write(f"{index} {os.getpid()}\n")
    return worked
