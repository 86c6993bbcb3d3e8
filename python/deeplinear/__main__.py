"""``python -m deeplinear`` is the command ``deeplinear``, also where a launcher starts modules."""

from deeplinear.experiments.cli.entry import main

if __name__ == "__main__":
    main()
