"""Runs cases of a fuzzer in this process: a file of them, the kept ones, or as many as time allows.

Before each call the case goes to a file, so that it is known after a crash too.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import os
import random
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "corpus"
LONGEST = 300  # seconds of a case, under sanitizers too


def kept(fuzzer: str) -> list[Path]:
    return sorted(CORPUS.glob(f"{fuzzer}-*.json"))


def cases(arguments: argparse.Namespace, calls: Any) -> Iterator[Any]:
    for file in arguments.files or kept(arguments.fuzzer):
        yield json.loads(file.read_text(encoding="utf-8"))
    rng = random.Random(arguments.seed)
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        yield calls.draw(rng)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("fuzzer", choices=("public", "private"))
    parser.add_argument("files", nargs="*", type=Path, help="cases, in place of the kept ones")
    parser.add_argument("--seconds", type=float, default=0.0, help="of random cases after them")
    parser.add_argument("--seed", type=int, default=0, help="of the random cases")
    parser.add_argument("--current", type=Path, help="where the case that runs is written")
    parser.add_argument("--all", action="store_true", help="go on after a case that fails")
    arguments = parser.parse_args()

    calls = importlib.import_module(f"{arguments.fuzzer}_calls")
    warnings.simplefilter("error")
    faulthandler.enable()
    current = arguments.current and os.open(arguments.current, os.O_WRONLY | os.O_CREAT)
    done = failed = 0
    for case in cases(arguments, calls):
        text = json.dumps(case)
        if current:
            os.pwrite(current, text.encode() + b"\n", 0)
            os.truncate(current, len(text) + 1)
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        try:
            calls.check(case)
        except BaseException:
            failed += 1
            print(f"{text}\n{traceback.format_exc()}", file=sys.stderr)
            if not arguments.all:
                return 1
        done += 1
    faulthandler.cancel_dump_traceback_later()
    print(f"{done} cases, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
