"""What is measured of a trained or untrained model, one file per figure.

A measure takes models or arrays and returns numbers or tables, with units in their names; the
album of `interpretation` returns figures.
"""
