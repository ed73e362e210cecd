"""From a run to its page: judge, arrange, render.

`targets` judges figures, `repeat` finds the commands that make them again, `view` arranges figures,
tables and charts. Nothing here trains, measures or imports torch.
"""
