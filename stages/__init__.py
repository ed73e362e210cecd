"""The pipeline's code: one module per DVC stage, and the rooms they draw on.

Stage modules parse, load, call and write. What is worth knowing lives in the rooms:
`core` (parameters, errors, files, devices, random streams), `datasets`, `models`,
`training`, `measures`, `charts` and `dna`.
"""
