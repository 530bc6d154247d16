"""`python -m z1`: the command line, without the current folder among the places that Python imports from."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # `python -m` puts the current folder there; nothing in it may replace a library

    from z1.cli.main import main

    main()
