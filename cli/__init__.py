"""The front desk: the `commons` command line, one module for each kind of user."""
