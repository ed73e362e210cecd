"""Studies: a grid of runs, the table it fills, and what the table says about the claims.

`form` reads a study, `cell` runs one run of it, `results` reads what is there; the others turn
that into figures, verdicts, advice and a page. Which cells run, and when, is left to DVC.
"""
