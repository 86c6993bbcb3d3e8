"""What the package needs beside mathematics: checks, files, memory, progress, the terminal."""
