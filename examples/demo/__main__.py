"""``python -m examples.demo``: signals first, so that Ctrl-C ends even the imports in good order."""

import sys

from .interrupt import Interrupt

if __name__ == "__main__":
    interrupt = Interrupt()
    interrupt.install()

    from .cli import main

    code = main(interrupt)
    interrupt.ignore()
    sys.exit(code)
