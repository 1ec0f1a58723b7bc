"""`python -m skymargin` is the command `skymargin`."""

from skymargin.cli.main import program

if __name__ == "__main__":
    raise SystemExit(program())
