"""Studies: a grid of runs, the table it fills, and what the table says about the claims.

`spec` reads a study, `run` has what its pipeline executes, `analysis` turns finished cells into
figures, verdicts and advice, `page` shows them. Which cells run, and when, is left to DVC.
"""
