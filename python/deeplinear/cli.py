"""The console script ``deeplinear``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; say what to install where its packages are missing."""
    try:
        from deeplinear import commands

        commands.app(prog_name="deeplinear")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("typer", "rich"):
            raise
        print(
            f"deeplinear: the command line needs {error.name}, which can't be imported here; "
            "pip install 'deeplinear[all]' brings every optional package.",
            file=sys.stderr,
        )
        sys.exit(1)
    except KeyboardInterrupt:
        print("deeplinear: stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
