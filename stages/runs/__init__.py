"""What a run is: its files and their names, read, written and opened, and the code that made it.

`schema` names files and columns, `training_record` writes, `sources` opens a folder or a revision,
`run` reads a run and `cell` one of a study. `code_file` reduces a file of code, `tree` follows
imports, `code` names what a stage or a cell executes, `unchanged` refuses what was edited, `stage`
is a stage's command line.
"""
