"""What a run is, and by what it is known: the code that it executes.

`source` reads one file, `tree` follows imports, `code` names what a stage or a cell executes.
"""
