"""From the files of a run to a page: gather, judge, arrange, render.

`gather` reads whatever files are there, `targets` judges them, `repeat` finds the commands that
make them again, `view` arranges figures, tables and charts, `render` fills the templates.
Nothing here trains, measures or imports torch.
"""
