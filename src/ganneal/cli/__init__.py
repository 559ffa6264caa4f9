"""The command line: `ganneal VERB`. Thin: every verb calls the library. Nothing here imports torch before it is
needed."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from ganneal.errors import GannealError, UsageError, nearest

VERBS = {
    "train": "train a generator and judge it:           ganneal train digits",
    "resume": "continue an interrupted run:              ganneal resume runs/digits-1",
    "sample": "draw samples from a run:                  ganneal sample runs/digits-1 -n 64 -o out.png",
    "compare": "objectives, penalties, solvers, ranked:   ganneal compare ring8 --objective rkl,jsd --seeds 8",
    "test": "do two samples differ, and where:         ganneal test real.npy fake.npy",
    "dynamics": "spectra of games and runs, Langevin:     ganneal dynamics dirac --penalty r1",
    "evaluate": "judge a run's generator in numbers:       ganneal evaluate runs/digits-1",
    "doctor": "name what is wrong with a run:            ganneal doctor runs/digits-1",
    "report": "write report.html of a run anew:          ganneal report runs/digits-1",
    "recipes": "list named configurations, or show one:   ganneal recipes digits",
    "info": "versions, devices, and all part names:    ganneal info",
}


def usage() -> str:
    """The page of `ganneal --help`."""
    verbs = "\n".join(f"  {verb:<10}{line}" for verb, line in VERBS.items())
    return f"""usage: ganneal VERB [arguments]

Adversarial training that can be trusted: annealed, stabilised and tested.

{verbs}

`ganneal VERB --help` shows a verb's arguments.
Exit codes: 0 done, 1 failed, 2 wrong request, 130/143 stopped by a signal.
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Run one verb and exit with its code."""
    args = list(sys.argv[1:] if argv is None else argv)
    sys.exit(run(args))


def run(args: list[str]) -> int:
    """Run one verb; errors a user can cause become one line on stderr."""
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0 if args else 2
    if args[0] == "--version":
        from ganneal import __version__

        print(f"ganneal {__version__}")
        return 0
    try:
        if args[0] not in VERBS:
            raise UsageError(f"unknown verb '{args[0]}': {nearest(args[0], VERBS)}")
        verb: Callable[[list[str]], int] = import_module(f"ganneal.cli.{args[0]}").main
        return verb(args[1:])
    except GannealError as error:
        print(f"ganneal: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("ganneal: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
