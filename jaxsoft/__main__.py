"""`python -m jaxsoft` is the `jaxsoft` command."""

from jaxsoft.main import entry

if __name__ == "__main__":
    entry()
