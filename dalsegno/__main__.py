"""`python -m dalsegno`: the command line."""

from dalsegno.cli.main import main

main()
