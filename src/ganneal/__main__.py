"""`python -m ganneal`, the same as `ganneal`."""

from ganneal.cli import main

main()
